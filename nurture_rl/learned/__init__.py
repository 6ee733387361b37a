"""What learners leave behind: scores of every action, and the rule that draws from them."""
