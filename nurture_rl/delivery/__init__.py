"""Delivery: what the policy decided reaches people through a sender, each decision at most once."""
