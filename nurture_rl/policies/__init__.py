"""Policies: probabilities of actions; the references every learner is compared with."""
