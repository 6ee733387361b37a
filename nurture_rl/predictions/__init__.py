"""What contacts will do under the programme that made the log: calibrated chances and scores."""
