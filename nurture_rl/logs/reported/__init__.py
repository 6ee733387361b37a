"""What senders, CRMs and page streams report, in our words: one small module per format.

The same functions read webhooks at a server and exported files.
"""
