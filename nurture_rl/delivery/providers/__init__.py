"""Providers that take single mails by HTTP: a small file for each, one sender for all."""
