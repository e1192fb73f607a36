"""Rows as the JSON objects of the Neon API v2, with every field that real clients require. Pure."""

from typing import Any, Final

from neon_embedded.metering import Used
from neon_embedded.rows import (
    BranchRow,
    DatabaseRow,
    EndpointRow,
    OperationRow,
    ProjectRow,
    RoleRow,
    SnapshotRow,
)

REGION: Final = "local"
ACCOUNT: Final = "embedded"
#: What one machine is good for, as the plan's limit of branches.
BRANCHES: Final = 1000
#: What every compute of this machine counts for.
COMPUTE_UNITS: Final = 0.25


def project(row: ProjectRow) -> dict[str, Any]:
    """Neon's Project, and enough of its ProjectListItem."""
    return {
        "id": row.id,
        "platform_id": "local",
        "region_id": REGION,
        "name": row.name,
        "provisioner": "k8s-neonvm",
        "pg_version": row.pg_version,
        "proxy_host": "127.0.0.1",
        "settings": row.settings,
        "store_passwords": True,
        "history_retention_seconds": row.history_retention_seconds,
        "branch_logical_size_limit": 0,
        "branch_logical_size_limit_bytes": 0,
        "active_time": 0,
        "active_time_seconds": 0,
        "compute_time_seconds": 0,
        "written_data_bytes": 0,
        "data_transfer_bytes": 0,
        "data_storage_bytes_hour": 0,
        "cpu_used_sec": 0,
        "synthetic_storage_size": 0,
        "consumption_period_start": row.created_at,
        "consumption_period_end": "9999-12-31T00:00:00Z",
        "creation_source": "embedded",
        "owner_id": ACCOUNT,
        "owner": {
            "email": "embedded@localhost",
            "name": "embedded",
            "branches_limit": BRANCHES,
            "subscription_type": "UNKNOWN",
        },
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def branch(row: BranchRow, used: Used) -> dict[str, Any]:
    """Neon's Branch; its ``logical_size`` is that of its files here."""
    shown: dict[str, Any] = {
        "id": row.id,
        "project_id": row.project_id,
        "name": row.name,
        "current_state": "init" if row.state == "init" else "ready",
        "state_changed_at": row.updated_at,
        "creation_source": "embedded",
        "primary": row.is_default,
        "default": row.is_default,
        "protected": row.protected,
        "init_source": row.init_source,
        "cpu_used_sec": 0,
        "active_time_seconds": int(used.awake_seconds),
        "compute_time_seconds": int(used.awake_seconds * COMPUTE_UNITS),
        "written_data_bytes": 0,
        "data_transfer_bytes": 0,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }
    pending = {"init": "ready", "deleting": "storage_deleted"}.get(row.state)
    given = {
        "pending_state": pending,
        "logical_size": used.size_bytes,
        "parent_id": row.parent_id,
        "parent_lsn": row.parent_lsn,
        "parent_timestamp": row.parent_timestamp or (row.created_at if row.parent_id else None),
        "last_reset_at": row.last_reset_at,
        "restored_from": row.restored_from,
        "restored_as": row.restored_as,
        "restore_status": row.restore_status,
        "expires_at": row.expires_at,
    }
    return shown | {name: value for name, value in given.items() if value is not None}


def snapshot(row: SnapshotRow) -> dict[str, Any]:
    """Neon's Snapshot."""
    shown: dict[str, Any] = {
        "id": row.id,
        "name": row.name,
        "created_at": row.created_at,
        "manual": row.manual,
    }
    given = {
        "lsn": row.lsn,
        "timestamp": row.timestamp,
        "source_branch_id": row.source_branch_id,
        "expires_at": row.expires_at,
        "full_size": row.full_size,
    }
    return shown | {name: value for name, value in given.items() if value is not None}


def annotation(row: BranchRow) -> dict[str, Any]:
    """Neon's AnnotationData of a branch."""
    return {
        "object": {"type": "console/branch", "id": row.id},
        "value": row.annotations,
        "created_at": row.created_at,
        "updated_at": row.created_at,
    }


def endpoint(row: EndpointRow) -> dict[str, Any]:
    """Neon's Endpoint; ``host`` carries the port where TLS is spoken, as real clients ask for it."""
    shown: dict[str, Any] = {
        "host": f"127.0.0.1:{row.tls_port or row.port}",
        "id": row.id,
        "project_id": row.project_id,
        "branch_id": row.branch_id,
        "region_id": REGION,
        "autoscaling_limit_min_cu": row.min_cu,
        "autoscaling_limit_max_cu": row.max_cu,
        "type": "read_write",
        "current_state": row.state,
        "pooler_enabled": False,
        "pooler_mode": "transaction",
        "disabled": row.disabled,
        "passwordless_access": False,
        "creation_source": "embedded",
        "settings": row.settings,
        "proxy_host": "127.0.0.1",
        "suspend_timeout_seconds": row.suspend_timeout_seconds,
        "provisioner": "k8s-neonvm",
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }
    return shown | ({"pending_state": "active"} if row.state == "init" else {})


def role(row: RoleRow, *, with_password: bool = False) -> dict[str, Any]:
    """Neon's Role; the password only where Neon tells it (creation, reset)."""
    return {
        "branch_id": row.branch_id,
        "name": row.name,
        "protected": False,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    } | ({"password": row.password} if with_password else {})


def database(row: DatabaseRow) -> dict[str, Any]:
    """Neon's Database."""
    return {
        "id": row.id,
        "branch_id": row.branch_id,
        "name": row.name,
        "owner_name": row.owner_name,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def operation(row: OperationRow) -> dict[str, Any]:
    """Neon's Operation."""
    shown: dict[str, Any] = {
        "id": row.id,
        "project_id": row.project_id,
        "action": row.action,
        "status": row.status,
        "failures_count": int(row.status == "failed"),
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "total_duration_ms": 0,
    }
    given = {"branch_id": row.branch_id, "endpoint_id": row.endpoint_id, "error": row.error}
    return shown | {name: value for name, value in given.items() if value is not None}


def user() -> dict[str, Any]:
    """Neon's CurrentUserInfoResponse; the PyPI client insists on ``billing_account``."""
    return {
        "id": ACCOUNT,
        "login": "embedded",
        "name": "embedded",
        "last_name": "",
        "email": "embedded@localhost",
        "image": "",
        "plan": "embedded",
        "projects_limit": 1000,
        "branches_limit": BRANCHES,
        "active_seconds_limit": 0,
        "max_autoscaling_limit": COMPUTE_UNITS,
        "auth_accounts": [],
        "billing_account": {
            "state": "active",
            "payment_source": {"type": "none"},
            "subscription_type": "UNKNOWN",
            "payment_method": "none",
            "quota_reset_at_last": "2024-01-01T00:00:00Z",
            "name": "embedded",
            "email": "embedded@localhost",
            "address_city": "",
            "address_country": "",
            "address_line1": "",
            "address_line2": "",
            "address_postal_code": "",
            "address_state": "",
        },
    }
