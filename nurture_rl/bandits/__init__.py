"""Learners that treat each decision alone, given the return that followed it."""
