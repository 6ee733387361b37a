"""Files as people have them → rows of the log's tables, by a mapping that a person can read."""
