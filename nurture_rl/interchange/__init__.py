"""Episodes to and from the files that other reinforcement-learning libraries read."""
