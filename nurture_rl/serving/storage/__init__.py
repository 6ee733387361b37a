"""What is kept: one store in SQLite or PostgreSQL, its tables, and the chain over its log."""
