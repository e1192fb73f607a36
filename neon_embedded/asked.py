"""Reading what a request asks for: texts, numbers, flags, names, times. Pure; every fault is a Refusal."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from neon_embedded.errors import Refusal
from neon_embedded.ids import BRANCH_ID

#: strconv.ParseBool of Go, which Neon's server uses (clients send ``True``).
_FLAGS: Final = dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True) | dict.fromkeys(
    ("0", "f", "F", "FALSE", "false", "False"), False
)
_RESERVED_ROLES: Final = {"neon_superuser", "cloud_admin", "zenith_admin", "public", "none"}
_LONGEST_EXPIRY: Final = timedelta(days=30)


def part(body: Mapping[str, Any], name: str, *, required: bool = False) -> dict[str, Any]:
    """An object inside a body; empty when absent. Raises Refusal 400."""
    value = body.get(name)
    if value is None and not required:
        return {}
    if not isinstance(value, dict):
        raise Refusal(
            400, f"invalid request: {name} ({'object expected' if value is not None else 'field required'})"
        )
    return value


def text(body: Mapping[str, Any], name: str, *, default: str = "", longest: int = 256) -> str:
    """A string. Raises Refusal 400 when it is something else, empty without default, or too long."""
    value = body.get(name)
    value = default if value is None else value
    if not isinstance(value, str) or len(value) > longest or "\x00" in value:
        raise Refusal(400, f"invalid request: {name} (a string of at most {longest} characters)")
    return value


def number(value: object, name: str, *, lowest: int, highest: int, default: int) -> int:
    """A whole number within bounds. Raises Refusal 400."""
    if value is None:
        return default
    try:
        found = int(str(value))
    except ValueError:
        found = lowest - 1
    if not lowest <= found <= highest or isinstance(value, bool):
        raise Refusal(400, f"invalid request: {name} (a number from {lowest} to {highest})")
    return found


def flag(value: object, name: str, *, default: bool = False) -> bool:
    """A truth value as Go reads it. Raises Refusal 400."""
    if value is None:
        return default
    if isinstance(value, bool):
        return value
    if str(value) not in _FLAGS:
        raise Refusal(400, f"invalid request: {name} (true or false)")
    return _FLAGS[str(value)]


def branch_name(value: str) -> str:
    """A branch's name. Raises Refusal 400 for an empty one or one that clients would take for an id."""
    if not value or BRANCH_ID.fullmatch(value):
        raise Refusal(400, f"invalid request: branch name {value!r} is empty or looks like a branch id")
    return value


def role_name(value: str) -> str:
    """A role's name. Raises Refusal 400 for reserved ones (Neon docs: pg*, neon_superuser, cloud_admin, ...)."""
    if (
        not value
        or len(value.encode()) > 63
        or value.lower().startswith("pg_")
        or value.lower() in _RESERVED_ROLES
    ):
        raise Refusal(400, f"invalid request: role name {value!r} is empty, too long or reserved")
    return value


def database_name(value: str) -> str:
    """A database's name. Raises Refusal 400."""
    if not value or len(value.encode()) > 63 or value in {"postgres", "template0", "template1"}:
        raise Refusal(400, f"invalid request: database name {value!r} is empty, too long or reserved")
    return value


def expiry(value: object) -> str | None:
    """A time of expiry in our form; at most 30 days ahead (Neon docs). Raises Refusal 400."""
    if value is None:
        return None
    found = time(str(value), "expires_at")
    ahead = found - datetime.now(UTC)
    if not timedelta(0) < ahead <= _LONGEST_EXPIRY:
        raise Refusal(400, "invalid request: expires_at must be in the future and at most 30 days ahead")
    return found.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def time(value: str, name: str) -> datetime:
    """A time in UTC. Raises Refusal 400 when it is not RFC 3339 with a zone."""
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or not re.match(r"\d{4}-\d\d-\d\dT", value):
        raise Refusal(400, f"invalid request: {name} (RFC 3339 with a zone)")
    return found.astimezone(UTC)


def labels(value: object) -> dict[str, str]:
    """Annotations: at most 50 texts by name. Raises Refusal 400."""
    if value is None:
        return {}
    fits = isinstance(value, dict) and len(value) <= 50
    if not fits or not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise Refusal(400, "invalid request: annotation_value (at most 50 texts by name)")
    return dict(value)
