"""One run as one page that a sales manager can read; the only room that draws."""
