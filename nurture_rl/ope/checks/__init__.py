"""What a log can and cannot carry, asked before any number is made from it."""
