"""A team's server as seen from a developer's machine: HTTP and JSON. Reaches no database, no Neon and no Docker."""
