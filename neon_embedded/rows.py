"""The server's own rows, as frozen values: what it intends and what it reached. Reads the clock, nothing else."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar


def now() -> str:
    """The time as Neon writes it: RFC 3339, UTC, seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Row:
    """A row of one table; the field names are its columns."""

    __slots__ = ()
    table: ClassVar[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectRow(Row):
    """A project. ``state``: init, ready, deleting."""

    table: ClassVar[str] = "projects"
    id: str
    name: str
    pg_version: int
    state: str = "init"
    history_retention_seconds: int = 86_400
    settings: dict[str, Any] = field(default_factory=dict)
    created_at: str = field(default_factory=now)
    updated_at: str = field(default_factory=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchRow(Row):
    """A branch. ``state``: init, ready, deleting; times are RFC 3339 in UTC.

    ``timeline`` names the directory that its data is in. It is the branch's id until a restore gives the branch
    other data: then only this name changes, so that a restore happens in one transaction.
    ``spares`` is how many warm spares were asked for; None leaves it to the rule (spares.py).
    ``awake_seconds`` is how long its compute was awake before it was last started.
    """

    table: ClassVar[str] = "branches"
    id: str
    project_id: str
    name: str
    timeline: str = ""
    parent_id: str | None = None
    parent_lsn: str | None = None
    parent_timestamp: str | None = None
    init_source: str = "parent-data"
    last_reset_at: str | None = None
    restored_from: str | None = None
    restored_as: str | None = None
    restore_status: str | None = None
    backup_schedule: dict[str, Any] = field(default_factory=dict)
    is_default: bool = False
    protected: bool = False
    state: str = "init"
    annotations: dict[str, Any] = field(default_factory=dict)
    expires_at: str | None = None
    spares: int | None = None
    awake_seconds: float = 0.0
    created_at: str = field(default_factory=now)
    updated_at: str = field(default_factory=now)

    def __post_init__(self) -> None:
        if not self.timeline:
            object.__setattr__(self, "timeline", self.id)

    @property
    def is_root(self) -> bool:
        """Whether it has no parent; only such branches have a history (Neon docs, 2026)."""
        return self.parent_id is None


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseRow(Row):
    """A whole copy of a timeline, from which its archived WAL leads to any later point.

    ``start_lsn``: the WAL needed begins here. ``stop_lsn``, ``taken_at`` (with microseconds): the first point that
    it leads to.
    """

    table: ClassVar[str] = "bases"
    id: str
    timeline: str
    start_lsn: str
    stop_lsn: str
    taken_at: str
    created_at: str = field(default_factory=now)
    updated_at: str = field(default_factory=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpareRow(Row):
    """A warm spare of a timeline. ``state``: copying, following, taken (by a branch, or to be removed).

    ``port`` names its socket, ``source_port`` the one it follows; ``boot`` is the machine's run that it was made in:
    it is not written through, so a crash of the machine may leave it damaged.
    """

    table: ClassVar[str] = "spares"
    id: str
    project_id: str
    timeline: str
    port: int
    source_port: int = 0
    boot: str = ""
    state: str = "copying"
    created_at: str = field(default_factory=now)
    updated_at: str = field(default_factory=now)

    @property
    def slot(self) -> str:
        """The replication slot that keeps its WAL on the branch."""
        return self.id.replace("-", "_")


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotRow(Row):
    """A copy of a root branch that is kept. ``state``: init, ready, deleting; ``full_size`` in bytes."""

    table: ClassVar[str] = "snapshots"
    id: str
    project_id: str
    name: str
    state: str = "init"
    source_branch_id: str | None = None
    lsn: str | None = None
    timestamp: str | None = None
    expires_at: str | None = None
    manual: bool = True
    full_size: int | None = None
    created_at: str = field(default_factory=now)
    updated_at: str = field(default_factory=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRow(Row):
    """A read-write endpoint. ``state``: init, active, idle - active is also a promise after a restart.

    ``port`` is the compute's own, ``tls_port`` that of its gate; 0 when it has none yet.
    """

    table: ClassVar[str] = "endpoints"
    id: str
    project_id: str
    branch_id: str
    port: int
    tls_port: int = 0
    state: str = "init"
    settings: dict[str, Any] = field(default_factory=dict)
    suspend_timeout_seconds: int = 0
    min_cu: float = 0.25
    max_cu: float = 0.25
    disabled: bool = False
    created_at: str = field(default_factory=now)
    updated_at: str = field(default_factory=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleRow(Row):
    """A role of one branch, with its password (Neon's store_passwords)."""

    table: ClassVar[str] = "roles"
    branch_id: str
    name: str
    password: str = field(repr=False)
    no_login: bool = False
    created_at: str = field(default_factory=now)
    updated_at: str = field(default_factory=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseRow(Row):
    """A database of one branch."""

    table: ClassVar[str] = "databases"
    id: int
    branch_id: str
    name: str
    owner_name: str
    created_at: str = field(default_factory=now)
    updated_at: str = field(default_factory=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationRow(Row):
    """An operation; kept after its project is gone, so that a waiter sees how it ended."""

    table: ClassVar[str] = "operations"
    id: str
    project_id: str
    action: str
    status: str = "scheduling"
    branch_id: str | None = None
    endpoint_id: str | None = None
    error: str | None = None
    created_at: str = field(default_factory=now)
    updated_at: str = field(default_factory=now)
