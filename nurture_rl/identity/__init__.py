"""Which keys (addresses, cookies, record numbers) belong to one contact, and since when we know."""
