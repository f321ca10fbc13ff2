"""Building blocks of every training: device, loop, sampling, augmentation, networks."""
