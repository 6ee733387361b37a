"""Real data sets, each rewritten into the raw tables of a contact log."""
