"""What people answer: mails read from mailboxes, their own words, and the class of each."""
