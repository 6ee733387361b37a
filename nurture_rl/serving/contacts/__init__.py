"""What is known of a contact and of those beside it, and whether it may be written to."""
