"""Is a log enough to learn from, and what is wrong with it: findings, each with its mend."""
