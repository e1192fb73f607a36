"""One file per kind of object: what to do to make, change or drop it, each the lock-safe way."""
