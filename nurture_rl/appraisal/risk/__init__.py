"""What the mean hides: tails, harm, segments, and which part of a policy earns its lift."""
