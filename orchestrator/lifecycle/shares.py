"""Links by which a preview may be seen, in the store: made, used, revoked. The link itself is nowhere kept."""

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import dict_row

from orchestrator.database import Connection
from orchestrator.errors import UsageError

LONGEST = timedelta(days=90)
_SHAPE = re.compile(r"share_[0-9a-f]{8}_[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What is known of a link; not the link.

    Attributes:
        id: eight hexadecimal characters.
        preview_id: which preview it opens.
        grants: what lets in whoever came by it: ``share:ID``, or ``token:ID`` of the person it was made for.
        note: for whom.
        made_by, made_at, expires_at, used_at: UTC; used_at is the last time.
        revoked_by, revoked_at: None while it is not revoked.
    """

    id: str
    preview_id: str
    grants: str
    note: str
    made_by: str
    made_at: datetime
    expires_at: datetime
    used_at: datetime | None
    revoked_by: str | None
    revoked_at: datetime | None

    def to_json(self, now: datetime) -> dict[str, Any]:
        """What a person may see of it; times in RFC 3339."""
        state = "revoked" if self.revoked_at else "expired" if self.expires_at <= now else "good"
        times = {
            name: value.isoformat() if (value := getattr(self, name)) else None
            for name in ("made_at", "expires_at", "used_at", "revoked_at")
        }
        return {"id": self.id, "state": state, "note": self.note, "made_by": self.made_by, **times}


class Shares:
    """The store's share links.

    Args:
        connection: an autocommit connection to the store's database, whose own tables are there.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def make(
        self,
        preview_id: str,
        *,
        lasts: timedelta,
        by: str,
        note: str = "",
        grants: str = "",
        once: bool = False,
    ) -> tuple[Share, str]:
        """A new link; the second value is its secret part, which is shown once.

        Args:
            preview_id: what it opens.
            lasts: how long.
            by: who made it.
            note: for whom.
            grants: see Share; default: itself.
            once: whether it is good for one use only.

        Raises:
            UsageError: it would last too long, or not at all.
        """
        if not timedelta(0) < lasts <= LONGEST:
            raise UsageError(f"a link lasts up to {LONGEST.days} days", hint="for example --for 2d")
        share_id = secrets.token_hex(4)
        secret = f"share_{share_id}_{secrets.token_hex(32)}"
        with self._connection.transaction():
            self._connection.execute(
                "insert into preview_control.share (id, preview_id, hash, grants, once, note, made_by, expires_at) "
                "values (%s, %s, %s, %s, %s, %s, %s, now() + %s)",
                (share_id, preview_id, _hash(secret), grants or f"share:{share_id}", once, note, by, lasts),
            )
            made = self._get(share_id)
            if not once:
                whom = f" for {note}" if note else ""
                until = f"{made.expires_at:%Y-%m-%d %H:%M} UTC"
                self._tell(preview_id, by, "shared", f"link {share_id}{whom} until {until}")
        return made, secret

    def use(self, secret: str, preview_id: str) -> Share | None:
        """The link that this is the secret of, when it opens this preview now; counts as its use."""
        if not _SHAPE.fullmatch(secret):
            return None
        with self._connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(
                "update preview_control.share set used_at = now() where hash = %s and preview_id = %s "
                "and revoked_at is null and expires_at > now() and (not once or used_at is null) "
                "returning *",
                (_hash(secret), preview_id),
            ).fetchone()
        return _share(row) if row else None

    def of(self, preview_id: str) -> tuple[Share, ...]:
        """The links of a preview that people were given, oldest first."""
        with self._connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(
                "select * from preview_control.share where preview_id = %s and not once order by made_at, id",
                (preview_id,),
            ).fetchall()
        return tuple(_share(row) for row in rows)

    def good(self) -> Mapping[str, str]:
        """What lets in now, ``share:ID``, and the preview of each."""
        rows = self._connection.execute(
            "select 'share:' || id, preview_id from preview_control.share "
            "where revoked_at is null and expires_at > now() and not once"
        ).fetchall()
        return dict(rows)

    def move(self, old: str, new: str) -> None:
        """A preview's links open the one that takes its place."""
        self._connection.execute(
            "update preview_control.share set preview_id = %s where preview_id = %s", (new, old)
        )

    def revoke(self, preview_id: str, share_id: str, *, by: str) -> Share:
        """Make a link of a preview no good, also for those who came by it; again is harmless.

        Raises:
            UsageError: the preview has no such link.
        """
        with self._connection.transaction():
            gone = self._connection.execute(
                "update preview_control.share set revoked_at = now(), revoked_by = %s "
                "where id = %s and preview_id = %s and revoked_at is null and not once",
                (by, share_id, preview_id),
            ).rowcount
            if gone:
                self._tell(preview_id, by, "not shared", f"link {share_id} is revoked")
        found = [share for share in self.of(preview_id) if share.id == share_id]
        if not found:
            raise UsageError(
                f"there is no link {share_id[:20]!r}", hint="`preview share NAME --list` shows them"
            )
        return found[0]

    def _tell(self, preview_id: str, who: str, kind: str, note: str) -> None:
        """An event of the preview: who may see production's data is a part of its story."""
        self._connection.execute(
            "insert into preview_control.event (preview_id, who, kind, state, note) "
            "select id, %s, %s, state, %s from preview_control.preview where id = %s",
            (who, kind, note, preview_id),
        )

    def _get(self, share_id: str) -> Share:
        with self._connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(
                "select * from preview_control.share where id = %s",
                (share_id,),
            ).fetchone()
        if row is None:
            raise UsageError(f"there is no link {share_id!r}")
        return _share(row)


def _share(row: Mapping[str, Any]) -> Share:
    return Share(**{name: value for name, value in row.items() if name not in ("hash", "once")})


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
