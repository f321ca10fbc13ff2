"""How anything is trained, whatever it is: device, loop, distortions, networks."""
