"""Decisions for contacts: a pure function, a durable store around it, and HTTP in front."""
