"""Raw contact logs in, checked tables out; the unusable goes to quarantine with a reason."""
