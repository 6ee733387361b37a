"""What senders of mail report by webhooks, in our words: one small module per sender."""
