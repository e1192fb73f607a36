"""Which request is which verb, and how its answer looks in the Neon API v2. Decides nothing."""

from neon_embedded.routes import account, computes, history, projects, roles, snapshots
from neon_embedded.routes.table import ROUTES

__all__ = ["ROUTES", "account", "computes", "history", "projects", "roles", "snapshots"]
