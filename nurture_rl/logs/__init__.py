"""Raw contact logs in, checked tables out; what cannot be used goes to quarantine with its reason."""
