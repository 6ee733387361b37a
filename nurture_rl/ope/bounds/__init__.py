"""Intervals: which one holds when outcomes are few, weights are heavy, or somebody looks daily."""
