"""From evidence to a release: the gate, the bundle it lets through, and the policy inside."""
