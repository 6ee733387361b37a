"""The door: HTTP, its types, keys, limits, and the process that listens."""
