"""How far a world is from a held-out log, what is wrong with it, and what it may be trusted for."""
