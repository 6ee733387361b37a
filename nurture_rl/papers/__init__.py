"""A journey and its bundle in plain words, for people who must trust it."""
