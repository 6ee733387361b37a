"""The loop in rounds: log, learn, ask the gate, serve, and log again."""
