"""The domain's language and the simulated contact environments of nurture_rl."""
