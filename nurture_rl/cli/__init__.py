"""The command `nurture VERB key=value ...`: what is typed, done and told."""
