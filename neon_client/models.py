"""Neon's objects as frozen values, and wrappers that keep secrets out of sight. No I/O of any kind.

Fields that Neon adds later are kept in ``extra``, not fatal. Times are aware datetimes, sizes bytes,
durations seconds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Final, Self, TypeVar, cast
from urllib.parse import quote, unquote, urlsplit, urlunsplit

T = TypeVar("T")

#: Operation states, Neon API v2 (OperationStatus): what a waiter may conclude from each.
ENDED_WELL: Final = frozenset({"finished", "skipped"})
ENDED_BADLY: Final = frozenset({"failed", "error", "cancelled"})


class Secret:
    """A string that shows itself only when asked by `reveal`; ``repr``, ``str`` and ``format`` are ``***``."""

    __slots__ = ("_value",)

    def __init__(self, value: "str | Secret") -> None:
        self._value: str = value.reveal() if isinstance(value, Secret) else value

    def reveal(self) -> str:
        """The string itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(("Secret", self._value))

    def __bool__(self) -> bool:
        return bool(self._value)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


class ConnectionURI:
    """A ``postgresql://`` URI that holds a password: redacted in ``str`` and ``repr``, whole by `reveal`.

    Raises:
        ValueError: the text is not a postgresql URI; the message does not repeat it.
    """

    __slots__ = ("_parts",)

    def __init__(self, uri: str) -> None:
        try:
            parts = urlsplit(uri)
            _ = parts.port
        except ValueError:
            raise ValueError("not a connection URI: host or port cannot be read") from None
        if parts.scheme not in {"postgresql", "postgres"} or not parts.hostname:
            raise ValueError(
                "not a connection URI: it must look like postgresql://role:password@host/database"
            )
        self._parts = parts

    def reveal(self) -> str:
        """The whole URI, password included."""
        return urlunsplit(self._parts)

    @property
    def host(self) -> str:
        """Host name or address, without brackets."""
        return self._parts.hostname or ""

    @property
    def port(self) -> int:
        """TCP port; 5432 when the URI names none."""
        return self._parts.port or 5432

    @property
    def database(self) -> str:
        """Database name, decoded."""
        return unquote(self._parts.path.removeprefix("/"))

    @property
    def role(self) -> str:
        """Role name, decoded."""
        return unquote(self._parts.username or "")

    @property
    def password(self) -> Secret:
        """Password, decoded; an empty secret when the URI has none."""
        return Secret(unquote(self._parts.password or ""))

    def with_host(self, host: str, port: int | None = None) -> "ConnectionURI":
        """The same credential and database at another host and port (None keeps the port as written)."""
        at = self._parts.netloc.rpartition("@")[0]
        shown = f"[{host}]" if ":" in host and not host.startswith("[") else host
        wanted = self._parts.port if port is None else port
        netloc = f"{at}@" * bool(at) + shown + (f":{wanted}" if wanted else "")
        return ConnectionURI(urlunsplit(self._parts._replace(netloc=netloc)))

    def bare(self) -> "ConnectionURI":
        """Without query: what every driver accepts (asyncpg, SQLAlchemy and node pg refuse Neon's query)."""
        return ConnectionURI(urlunsplit(self._parts._replace(query="", fragment="")))

    def __str__(self) -> str:
        shown = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self._parts.port}" if self._parts.port else ""
        role = f"{quote(self.role, safe='')}:***@" if self.role else ""
        return f"postgresql://{role}{shown}{port}{self._parts.path}"

    def __repr__(self) -> str:
        return f"ConnectionURI({self})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConnectionURI) and other._parts == self._parts

    def __hash__(self) -> int:
        return hash(("ConnectionURI", self._parts))

    def __reduce__(self) -> str:
        raise TypeError("a connection URI is not pickled: it holds a password")


def _extra() -> Any:
    return field(default_factory=dict, repr=False, compare=False)


def _build(cls: type[T], value: object, convert: Mapping[str, Callable[[Any], Any]] | None = None) -> T:
    """Make ``cls`` from a JSON object: known names become fields, null means absent, the rest is ``extra``."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{cls.__name__}: expected a JSON object")  # noqa: TRY004 - the answer's value is wrong, not our type
    names = {entry.name for entry in fields(cast("Any", cls))} - {"extra"}
    known = {
        name: (convert or {}).get(name, lambda same: same)(value[name])
        for name in names
        if value.get(name) is not None
    }
    rest = {name: content for name, content in value.items() if name not in names}
    try:
        return cast("Callable[..., T]", cls)(**known, extra=rest)
    except TypeError as error:
        raise ValueError(f"{cls.__name__}: {str(error).partition('__init__() ')[2]}") from None


_TIMES: Final[Mapping[str, Callable[[Any], Any]]] = dict.fromkeys(
    ("created_at", "updated_at", "expires_at", "parent_timestamp", "last_reset_at"), datetime.fromisoformat
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project; ``history_retention_seconds`` is its restore window."""

    id: str
    name: str
    pg_version: int = 0
    region_id: str = ""
    history_retention_seconds: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None
    extra: Mapping[str, Any] = _extra()

    @classmethod
    def from_json(cls, value: object) -> Self:
        """From Neon's answer. Raises ValueError when id or name are missing."""
        return _build(cls, value, _TIMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A branch; ``default`` marks main. ``current_state``: init, ready, resetting, archived."""

    id: str
    project_id: str
    name: str
    current_state: str = ""
    default: bool = False
    protected: bool = False
    parent_id: str | None = None
    parent_lsn: str | None = None
    parent_timestamp: datetime | None = None
    init_source: str = ""
    last_reset_at: datetime | None = None
    restored_from: str | None = None
    restored_as: str | None = None
    restore_status: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    expires_at: datetime | None = None
    logical_size: int | None = None
    annotations: Mapping[str, str] = field(default_factory=dict, compare=False)
    extra: Mapping[str, Any] = _extra()

    @classmethod
    def from_json(cls, value: object, annotation: object = None) -> Self:
        """From Neon's ``branch`` and its ``annotation`` object, which Neon answers beside it."""
        labels = annotation.get("value") if isinstance(annotation, Mapping) else None
        body = dict(value) if isinstance(value, Mapping) else value
        if isinstance(body, dict):
            body["annotations"] = dict(labels) if isinstance(labels, Mapping) else {}
        return _build(cls, body, _TIMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A compute's address; ``type``: read_write or read_only. ``current_state``: init, active, idle."""

    id: str
    project_id: str
    branch_id: str
    host: str
    type: str = "read_write"
    current_state: str = ""
    disabled: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict, compare=False)
    suspend_timeout_seconds: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None
    extra: Mapping[str, Any] = _extra()

    @classmethod
    def from_json(cls, value: object) -> Self:
        """From Neon's answer."""
        return _build(cls, value, _TIMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role of one branch; ``password`` only where Neon reveals it (on creation and reset)."""

    name: str
    branch_id: str = ""
    password: Secret | None = None
    protected: bool = False
    no_login: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None
    extra: Mapping[str, Any] = _extra()

    @classmethod
    def from_json(cls, value: object) -> Self:
        """From Neon's answer."""
        return _build(cls, value, {**_TIMES, "password": Secret})


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A database of one branch."""

    id: int
    name: str
    owner_name: str
    branch_id: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    extra: Mapping[str, Any] = _extra()

    @classmethod
    def from_json(cls, value: object) -> Self:
        """From Neon's answer."""
        return _build(cls, value, _TIMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Something Neon does after it answered; see `ENDED_WELL` and `ENDED_BADLY` for ``status``."""

    id: str
    project_id: str
    action: str
    status: str
    branch_id: str | None = None
    endpoint_id: str | None = None
    error: str | None = None
    failures_count: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None
    extra: Mapping[str, Any] = _extra()

    @classmethod
    def from_json(cls, value: object) -> Self:
        """From Neon's answer."""
        return _build(cls, value, _TIMES)

    @property
    def pending(self) -> bool:
        """Whether it has not ended; a status that is not known counts as pending."""
        return self.status not in ENDED_WELL | ENDED_BADLY


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A kept state of a root branch; ``full_size`` in bytes, ``timestamp`` the moment it shows."""

    id: str
    name: str
    source_branch_id: str | None = None
    lsn: str | None = None
    timestamp: str | None = None
    manual: bool = True
    full_size: int | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    extra: Mapping[str, Any] = _extra()

    @classmethod
    def from_json(cls, value: object) -> Self:
        """From Neon's answer."""
        return _build(cls, value, _TIMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumption:
    """What one branch used between two moments; ``metrics`` by Neon's names, in the unit that the name tells."""

    project_id: str
    branch_id: str
    since: datetime
    until: datetime
    metrics: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of_branch(cls, value: Mapping[str, Any]) -> "list[Consumption]":
        """From one item of Neon's answer, which nests periods, times and metrics. Raises KeyError, ValueError."""
        return [
            cls(
                project_id=value["project_id"],
                branch_id=value["branch_id"],
                since=datetime.fromisoformat(frame["timeframe_start"]),
                until=datetime.fromisoformat(frame["timeframe_end"]),
                metrics={each["metric_name"]: each["value"] for each in frame.get("metrics") or ()},
            )
            for period in value["periods"]
            for frame in period.get("consumption") or ()
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedBranch:
    """A new branch with what was made beside it."""

    branch: Branch
    endpoints: tuple[Endpoint, ...] = ()
    operations: tuple[Operation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedProject:
    """A new project with its default branch, and the URIs of that branch (each holds a password, redacted)."""

    project: Project
    branch: Branch
    endpoints: tuple[Endpoint, ...] = ()
    roles: tuple[Role, ...] = ()
    databases: tuple[Database, ...] = ()
    connection_uris: tuple[ConnectionURI, ...] = ()
    operations: tuple[Operation, ...] = ()
