"""Policies in life: loaded bundles, who decides for whom, shadows, and the watch over harm."""
