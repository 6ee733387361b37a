"""What people look at while a server works: figures of its log, read beside the work."""
