"""Work on a whole store or log: export, replay, verify, copy, erase, retain, monitor."""
