"""Runs recorded in MLflow; the only room that knows it."""
