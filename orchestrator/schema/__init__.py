"""What a database is, as values, and how two differ. Never sees a driver, a clock, a file or the environment."""
