"""One file per working state; each touches one outside world. Steps do not know each other or the command line."""
