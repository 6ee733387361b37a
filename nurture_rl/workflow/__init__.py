"""Every step of the loop, wired: the one room that knows the others. `experiments/` calls it."""
