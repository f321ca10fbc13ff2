"""Agreement of readers, persons or models, in landmarks and measurements. No torch, no Qt."""
