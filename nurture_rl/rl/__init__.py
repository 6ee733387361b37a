"""Learners that plan over whole episodes inside a world."""
