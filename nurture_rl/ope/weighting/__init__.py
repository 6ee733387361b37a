"""Estimators that weight logged decisions, beyond the plain ones, and how they are tuned."""
