"""Decision table to fitted world, and the calibration that says whether to believe it."""
