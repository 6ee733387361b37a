"""Decisions: the pure function, and the service that reads, decides and commits."""
