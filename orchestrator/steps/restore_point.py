"""Restore points: a branch of main as it was before the first statement of a promotion, opened and compared.

Touches Neon. Never restores anything.
"""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from neon_client.errors import NeonError, QuotaExceeded
from neon_client.models import Branch
from orchestrator.database import Connection
from orchestrator.errors import MainMoved, StepFailed
from orchestrator.lifecycle import Promotion
from orchestrator.postgres.inspect import inspect
from orchestrator.schema.catalog import Snapshot
from orchestrator.steps.border import translating
from orchestrator.steps.project import NeonProject, restore_name

#: Neon's limit of an expiry, days.
_LONGEST = 30


class RestorePoints:
    """Makes them.

    Args:
        project: where.
        keep_days: how long one is kept (``promote.keep_days``).
        wanted: whether there are to be any (``promote.restore_point``); without one only the point in main's own
            history is written down.
    """

    def __init__(self, project: NeonProject, *, keep_days: int, wanted: bool = True) -> None:
        self._project = project
        self._keep_days = keep_days
        self._wanted = wanted

    def make(
        self, promotion: Promotion, main: Connection, before: Snapshot, detail: Callable[[str], None]
    ) -> tuple[dict[str, Any], float]:
        """A fresh restore point, proved to open and to have main's schema.

        One that a run before left is replaced: main may have gone on since. Nobody may call this once a statement of
        the promotion may have reached main.

        Returns:
            What to remember of it, and how long it took, milliseconds.

        Raises:
            StepFailed: it cannot be made; main was not touched.
            MainMoved: its schema is not the one that the plan was compared with.
        """
        began = time.perf_counter()
        point = _point(main)
        if not self._wanted:
            return {"branch": None, **point}, (time.perf_counter() - began) * 1000
        project, name = self._project, restore_name(promotion)
        detail(f"taking the restore point {name}")
        with translating(f"making the restore point {name}"):
            left = project.neon.find_branch(project.id, name)
            if left is not None:
                self._remove(left)
            # By main's clock: this machine's may be wrong, and a restore point must not end early for that.
            now = datetime.fromisoformat(point["at"]) if point["at"] else datetime.now(UTC)
            expires = now.astimezone(UTC) + timedelta(days=min(self._keep_days, _LONGEST))
            try:
                made = project.neon.create_branch(
                    project.id,
                    name=name,
                    parent_id=project.main.id,
                    annotations={"preview-promotion": promotion.id, "preview-name": promotion.preview_name},
                    expires_at=expires,
                )
            except QuotaExceeded as full:
                full.hint += '; or promote without one: promote.restore_point = "off"'
                raise
            made_ms = (time.perf_counter() - began) * 1000
            detail(f"opening the restore point {name}")
            with project.connect_reading(made.branch.id, "prove the restore point") as connection:
                found = inspect(connection).fingerprint()
            opened_ms = (time.perf_counter() - began) * 1000 - made_ms
            if found != before.fingerprint():
                self._remove(made.branch)
                raise MainMoved(
                    f"main's schema was changed while the restore point {name} was taken",
                    hint="run the same command again",
                )
            self._sleep(made.branch)
        return {
            "branch": {"id": made.branch.id, "name": name},
            **point,
            "lsn": made.branch.parent_lsn or point["lsn"],
            "expires_at": expires.isoformat(timespec="seconds"),
            "fingerprint": found,
            "made_ms": round(made_ms, 1),
            "opened_ms": round(opened_ms, 1),
        }, (time.perf_counter() - began) * 1000

    def _remove(self, branch: Branch) -> None:
        if branch.parent_id != self._project.main.id:
            raise StepFailed(
                f"branch {branch.name} ({branch.id}) is not a child of main; it will not be touched",
                hint="rename that branch in Neon",
            )
        self._project.neon.delete_branch(self._project.id, branch.id)

    def _sleep(self, branch: Branch) -> None:
        """End its compute, which nobody needs now; it would fall asleep by itself."""
        neon, project_id = self._project.neon, self._project.id
        try:
            for endpoint in neon.endpoints(project_id, branch.id):
                neon.suspend_endpoint(project_id, endpoint.id)
        except NeonError:
            return


def _point(main: Connection) -> dict[str, Any]:
    """Where main is in its own history: what a point-in-time restore would be given."""
    row = main.execute(
        "select pg_catalog.pg_current_wal_flush_lsn()::text, pg_catalog.clock_timestamp()"
    ).fetchone()
    return {"lsn": row[0], "at": row[1].isoformat()} if row else {"lsn": None, "at": None}


def in_words(point: Mapping[str, Any] | None) -> str:
    """The end of a step's line; empty when there is no restore point."""
    if not (point and point.get("branch")):
        return ""
    took = point["made_ms"] + point["opened_ms"]
    return f"; restore point {point['branch']['name']}, made and opened in {took:.0f} ms"
