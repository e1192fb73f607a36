"""Tokens in the store: made, recognised, revoked. The token itself is shown once and is nowhere kept."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg.rows import dict_row

from neon_client import Secret
from orchestrator.access.roles import Caller, Role
from orchestrator.database import Connection
from orchestrator.errors import UsageError

#: ``preview_ROLE_ID_SECRET``: whoever finds one knows what it is and which to revoke.
_SHAPE = re.compile(r"preview_(?:viewer|developer|approver|admin)_([0-9a-f]{8})_[0-9a-f]{64}")
#: Names of people and agents, as events show them.
_WHO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,79}")
DAYS = 90
MOST_DAYS = 366
_COLUMNS = "id, who, role, note, created_by, created_at, expires_at, revoked_by, revoked_at, last_used_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What is known of a token; not the token.

    Attributes:
        id: eight hexadecimal characters; part of the token.
        who: whose it is.
        role: what it is good for.
        note: what it is for.
        created_by, created_at, expires_at, last_used_at: UTC.
        revoked_by, revoked_at: None while it is not revoked.
    """

    id: str
    who: str
    role: Role
    note: str
    created_by: str
    created_at: datetime
    expires_at: datetime
    revoked_by: str | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    @property
    def state(self) -> str:
        """``good``, ``expired`` or ``revoked``."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at <= datetime.now(UTC) else "good"

    def to_json(self) -> dict[str, Any]:
        """All attributes by name, and ``state``; times in RFC 3339."""
        times = {
            name: value.isoformat() if (value := getattr(self, name)) else None
            for name in ("created_at", "expires_at", "revoked_at", "last_used_at")
        }
        return {
            "id": self.id,
            "who": self.who,
            "role": self.role.value,
            "note": self.note,
            "state": self.state,
            "created_by": self.created_by,
            "revoked_by": self.revoked_by,
            **times,
        }


class Tokens:
    """The store's tokens.

    Args:
        connection: an autocommit connection to the store's database, whose own tables are there.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(
        self, *, who: str, role: Role, by: str, days: float = DAYS, note: str = ""
    ) -> tuple[Token, Secret]:
        """A new token; the second value is shown once.

        Raises:
            UsageError: no such name, or a life that is too short or too long.
        """
        if not _WHO.fullmatch(who):
            raise UsageError(
                f"{who[:80]!r} cannot be whom a token is for",
                hint="use letters, digits and . _ @ + - (at most 80), beginning with a letter or digit: ada",
            )
        if not 0 < days <= MOST_DAYS:
            raise UsageError(f"a token cannot live {days:g} days", hint=f"give up to {MOST_DAYS} days")
        token_id = secrets.token_hex(4)
        whole = f"preview_{role.value}_{token_id}_{secrets.token_hex(32)}"
        self._connection.execute(
            "insert into preview_control.token (id, hash, who, role, note, created_by, expires_at) "
            "values (%s, %s, %s, %s, %s, %s, %s)",
            (token_id, _hash(whole), who, role.value, note, by, datetime.now(UTC) + timedelta(days=days)),
        )
        return self.get(token_id), Secret(whole)

    def recognise(self, text: str) -> Caller | None:
        """Who shows this token; None when it is none of ours, expired or revoked."""
        shape = _SHAPE.fullmatch(text)
        if shape is None:
            return None
        row = self._connection.execute(
            "select hash, who, role from preview_control.token "
            "where id = %s and revoked_at is null and expires_at > now()",
            (shape[1],),
        ).fetchone()
        if row is None or not hmac.compare_digest(bytes(row[0]), _hash(text)):
            return None
        # Once a minute is enough to see which tokens nobody uses, and spares a write with every request.
        self._connection.execute(
            "update preview_control.token set last_used_at = now() where id = %s "
            "and (last_used_at is null or last_used_at < now() - interval '1 minute')",
            (shape[1],),
        )
        return Caller(who=row[1], role=Role(row[2]), token=shape[1])

    def revoked(self, token_id: str) -> bool:
        """Whether the token with this id was made no good; one that nobody knows was not."""
        row = self._connection.execute(
            "select 1 from preview_control.token where id = %s and revoked_at is not null", (token_id,)
        ).fetchone()
        return row is not None

    def good(self) -> frozenset[str]:
        """The ids of all that are good now."""
        rows = self._connection.execute(
            "select id from preview_control.token where revoked_at is null and expires_at > now()"
        ).fetchall()
        return frozenset(row[0] for row in rows)

    def ping(self) -> None:
        """Ask the store for something cheap; raises when it does not answer."""
        self._connection.execute("select 1 from preview_control.token limit 1")

    def get(self, token_id: str) -> Token:
        """The token with this id.

        Raises:
            UsageError: there is none.
        """
        found = self._rows("where id = %s", (token_id.replace("\0", ""),))
        if not found:
            raise UsageError(f"there is no token {token_id[:20]!r}", hint="`preview token list` shows them")
        return found[0]

    def all(self) -> tuple[Token, ...]:
        """Every token, oldest first; also those that are no good any more."""
        return self._rows("", ())

    def revoke(self, token_id: str, *, by: str) -> Token:
        """Make a token no good, from the next request on; again is harmless."""
        self._connection.execute(
            "update preview_control.token set revoked_at = now(), revoked_by = %s "
            "where id = %s and revoked_at is null",
            (by, token_id.replace("\0", "")),
        )
        return self.get(token_id)

    def _rows(self, where: str, parameters: tuple[object, ...]) -> tuple[Token, ...]:
        with self._connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(
                f"select {_COLUMNS} from preview_control.token {where} order by created_at, id".encode(),  # noqa: S608 - constants of this module
                parameters,
            ).fetchall()
        return tuple(_token(row) for row in rows)


def _token(row: Mapping[str, Any]) -> Token:
    return Token(**{**row, "role": Role(row["role"])})


def _hash(whole: str) -> bytes:
    return hashlib.sha256(whole.encode()).digest()
