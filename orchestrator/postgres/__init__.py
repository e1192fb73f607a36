"""Effects on a database: inspect, apply, trace, verify. Knows no Neon, no Docker and no diary."""
