"""Estimators made for several decisions per episode."""
