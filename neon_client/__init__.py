"""The Neon API v2 as a library of its own: client, models, errors. Imports nothing of ours.

`NeonClient` is loaded on first use, so that whoever needs only a model does not pay for an HTTP library.
"""

from typing import TYPE_CHECKING, Any

from neon_client.errors import (
    ApiError,
    Conflict,
    Locked,
    NeonError,
    NeonUnreachable,
    NotDisposable,
    NotFound,
    OperationFailed,
    OperationTimeout,
    QuotaExceeded,
    RateLimited,
    ServerError,
    Unauthorized,
)
from neon_client.models import (
    Branch,
    ConnectionURI,
    Consumption,
    CreatedBranch,
    CreatedProject,
    Database,
    Endpoint,
    Operation,
    Project,
    Role,
    Secret,
    Snapshot,
)

if TYPE_CHECKING:
    from neon_client.client import NeonClient

__all__ = [
    "ApiError",
    "Branch",
    "Conflict",
    "ConnectionURI",
    "Consumption",
    "CreatedBranch",
    "CreatedProject",
    "Database",
    "Endpoint",
    "Locked",
    "NeonClient",
    "NeonError",
    "NeonUnreachable",
    "NotDisposable",
    "NotFound",
    "Operation",
    "OperationFailed",
    "OperationTimeout",
    "Project",
    "QuotaExceeded",
    "RateLimited",
    "Role",
    "Secret",
    "ServerError",
    "Snapshot",
    "Unauthorized",
]


def __getattr__(name: str) -> Any:
    if name == "NeonClient":
        from neon_client.client import NeonClient

        return NeonClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
