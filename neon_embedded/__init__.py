"""Neon for one machine: the Neon API v2 over local PostgreSQL. May know `neon_client.models`, nothing else of ours."""

from neon_embedded.background import Running, Status, ensure_running, status, stop
from neon_embedded.binaries import Binaries, find_binaries
from neon_embedded.errors import EmbeddedError, HomeUnusable, NoPostgres, ServerNotStarted

__all__ = [
    "Binaries",
    "EmbeddedError",
    "HomeUnusable",
    "NoPostgres",
    "Running",
    "ServerNotStarted",
    "Status",
    "ensure_running",
    "find_binaries",
    "status",
    "stop",
]
