"""Choosing: among estimators, and among many policies without fooling oneself."""
