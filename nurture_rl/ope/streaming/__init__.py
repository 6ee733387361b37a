"""One-step decisions in one pass through bounded memory: sums that add up, and all they tell."""
