"""The Neon API's verbs of points in time: restore, schemas, snapshots, consumption. Knows nothing of ours."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from neon_client.branches import Branches, written
from neon_client.calls import branch_of, given, operations_of
from neon_client.errors import ApiError, NeonError
from neon_client.finding import found_branch
from neon_client.models import Branch, Consumption, CreatedBranch, Snapshot
from neon_client.wire import LostAnswer, Params, parsed, path


class Points(Branches):
    """The part of the client that goes back in time; see `neon_client.client.NeonClient`."""

    def restore_branch(
        self,
        project_id: str,
        branch_id: str,
        *,
        source_branch_id: str,
        lsn: str | None = None,
        timestamp: datetime | None = None,
        preserve_under_name: str | None = None,
        overwrite_main: bool = False,
    ) -> Branch:
        """Give a branch another's data, or its own past; it keeps its id, endpoint and URL. Waits.

        Everything in the branch is overwritten, all its databases. Passwords may change to the source's: rotate.

        Args:
            project_id: the project.
            branch_id: the branch to overwrite.
            source_branch_id: whose data; the branch itself for its past.
            lsn: the point on the source; the head when neither this nor a time is given.
            timestamp: aware time; points need a root branch and its restore window.
            preserve_under_name: keeps the state before in a branch of this name; required for a branch's own past,
                and for a branch with children, which move there.
            overwrite_main: allow a branch that is the default or protected.

        Raises:
            NotDisposable: it is the default or protected, and ``overwrite_main`` was not given.
            Conflict: the name to preserve under was taken before.
        """
        if not overwrite_main:
            self.assert_disposable(project_id, branch_id)
        where = path("projects", project_id, "branches", branch_id, "restore")
        wanted = given(
            {
                "source_branch_id": source_branch_id,
                "source_lsn": lsn,
                "source_timestamp": written(timestamp),
                "preserve_under_name": preserve_under_name,
            }
        )
        with self._wire.turn(project_id):
            before = self.branch(project_id, branch_id)
            taken = bool(preserve_under_name and self.find_branch(project_id, preserve_under_name))

            def find() -> Branch | None:
                # What is preserved proves it; without it, the time of the last reset does.
                self.wait(project_id, self.pending(project_id, branch_id))
                now = self.branch(project_id, branch_id)
                if preserve_under_name:
                    kept = None if taken else self.find_branch(project_id, preserve_under_name)
                    return now if kept is not None else None
                return now if now.last_reset_at and now.last_reset_at != before.last_reset_at else None

            def send() -> Branch:
                answer = self._wire.send("POST", where, json=wanted)
                self.wait(project_id, operations_of(answer))
                return self.branch(project_id, branch_id)

            return self._create(send, find)

    def reset_from_parent(self, project_id: str, branch_id: str) -> Branch:
        """Overwrite a disposable branch with its parent's head; rotate passwords afterwards.

        Raises:
            NotDisposable: it is the default or protected.
            NeonError: it has no parent.
        """
        branch = self.assert_disposable(project_id, branch_id)
        if branch.parent_id is None:
            raise NeonError(
                f"branch {branch.name!r} ({branch.id}) has no parent to be reset from",
                hint="restore it from a named branch instead",
            )
        return self.restore_branch(project_id, branch_id, source_branch_id=branch.parent_id)

    # Schemas

    def schema(
        self,
        project_id: str,
        branch_id: str,
        database: str,
        *,
        lsn: str | None = None,
        timestamp: datetime | None = None,
    ) -> str:
        """The schema of a database as SQL, now or at a point."""
        where = path("projects", project_id, "branches", branch_id, "schema")
        params: Params = {"db_name": database, "lsn": lsn, "timestamp": written(timestamp)}
        return str(self._wire.get(where, params).body.get("sql") or "")

    def compare_schema(
        self,
        project_id: str,
        branch_id: str,
        database: str,
        *,
        base_branch_id: str | None = None,
        lsn: str | None = None,
        timestamp: datetime | None = None,
        base_lsn: str | None = None,
        base_timestamp: datetime | None = None,
    ) -> str:
        """What a branch's schema has that its base's has not, as a unified diff; empty when they are equal.

        The base is the parent, or the branch named; each side is at its head or at a point of its own.
        """
        where = path("projects", project_id, "branches", branch_id, "compare_schema")
        params: Params = {
            "db_name": database,
            "base_branch_id": base_branch_id,
            "lsn": lsn,
            "timestamp": written(timestamp),
            "base_lsn": base_lsn,
            "base_timestamp": written(base_timestamp),
        }
        return str(self._wire.get(where, params).body.get("diff") or "")

    # Snapshots

    def snapshots(self, project_id: str) -> tuple[Snapshot, ...]:
        """All snapshots of the project."""
        return self._list(path("projects", project_id, "snapshots"), "snapshots", Snapshot.from_json)

    def create_snapshot(
        self,
        project_id: str,
        branch_id: str,
        *,
        name: str,
        lsn: str | None = None,
        timestamp: datetime | None = None,
        expires_at: datetime | None = None,
    ) -> Snapshot:
        """Keep a root branch as it is, or was at a point; waits. Names of snapshots are not unique on Neon."""
        where = path("projects", project_id, "branches", branch_id, "snapshot")
        params: Params = {
            "name": name,
            "lsn": lsn,
            "timestamp": written(timestamp),
            "expires_at": expires_at.isoformat(timespec="seconds") if expires_at else None,
        }
        with self._wire.turn(project_id):
            before = {each.id for each in self.snapshots(project_id)}

            def find() -> Snapshot | None:
                self.wait(project_id, self.pending(project_id, branch_id))
                new = [
                    each for each in self.snapshots(project_id) if each.name == name and each.id not in before
                ]
                return new[0] if len(new) == 1 else None

            def send() -> Snapshot:
                answer = self._wire.send("POST", where, params=params)
                self.wait(project_id, operations_of(answer))
                made: Snapshot = parsed(f"POST {where}", lambda: Snapshot.from_json(answer.body["snapshot"]))
                return next((each for each in self.snapshots(project_id) if each.id == made.id), made)

            return self._create(send, find)

    def rename_snapshot(self, project_id: str, snapshot_id: str, name: str) -> Snapshot:
        """Change a snapshot's name."""
        where = path("projects", project_id, "snapshots", snapshot_id)
        answer = self._change(project_id, "PATCH", where, {"snapshot": {"name": name}})
        made: Snapshot = parsed(f"PATCH {where}", lambda: Snapshot.from_json(answer.body["snapshot"]))
        return made

    def restore_snapshot(
        self, project_id: str, snapshot_id: str, *, name: str, target_branch_id: str | None = None
    ) -> CreatedBranch:
        """Make a branch of a snapshot, to look at, or to replace its target by `finalize_restore`; waits.

        Args:
            project_id: the project.
            snapshot_id: the snapshot.
            name: of the new branch; unique in the project.
            target_branch_id: which branch it may replace; the snapshot's source when None.
        """
        where = path("projects", project_id, "snapshots", snapshot_id, "restore")
        wanted = given({"name": name, "target_branch_id": target_branch_id, "finalize_restore": False})
        with self._wire.turn(project_id):
            before = self.find_branch(project_id, name)

            def find() -> CreatedBranch | None:
                branch = self.find_branch(project_id, name)
                if branch is None or before is not None or branch.restored_from not in {None, snapshot_id}:
                    return None
                return found_branch(self, project_id, branch.id)

            def send() -> CreatedBranch:
                answer = self._wire.send("POST", where, json=wanted)
                branch = branch_of(f"POST {where}", answer.body)
                return self._ready(project_id, branch.id, operations_of(answer))

            return self._create(send, find)

    def finalize_restore(
        self, project_id: str, branch_id: str, *, old_name: str, overwrite_main: bool = False
    ) -> Branch:
        """Let a branch that was made of a snapshot replace its target: name, place as main and computes move. Waits.

        Args:
            project_id: the project.
            branch_id: the restored branch.
            old_name: new name of the branch that is replaced.
            overwrite_main: allow a target that is the default or protected.

        Raises:
            NotDisposable: the target is the default or protected, and ``overwrite_main`` was not given.
        """
        branch = self.branch(project_id, branch_id)
        if branch.restore_status == "finalized":
            return branch
        if not overwrite_main and branch.restored_as:
            self.assert_disposable(project_id, branch.restored_as)
        where = path("projects", project_id, "branches", branch_id, "finalize_restore")
        with self._wire.turn(project_id):
            try:
                answer = self._wire.send("POST", where, json={"name": old_name})
                self.wait(project_id, operations_of(answer))
            except LostAnswer:
                self.wait(project_id, self.pending(project_id, branch_id))
                if self.branch(project_id, branch_id).restore_status != "finalized":
                    self._send_again(project_id, branch_id, where, {"name": old_name})
            return self.branch(project_id, branch_id)

    def _send_again(self, project_id: str, branch_id: str, where: str, wanted: dict[str, Any]) -> None:
        """Once more, when the first was not seen to be done; a refusal is fine if it was done meanwhile."""
        try:
            self.wait(project_id, operations_of(self._wire.send("POST", where, json=wanted)))
        except (ApiError, LostAnswer):
            self.wait(project_id, self.pending(project_id, branch_id))
            if self.branch(project_id, branch_id).restore_status != "finalized":
                raise

    def delete_snapshot(self, project_id: str, snapshot_id: str) -> None:
        """Delete a snapshot; gone is fine."""
        self._delete(project_id, path("projects", project_id, "snapshots", snapshot_id))

    # Consumption

    def consumption(
        self,
        org_id: str,
        project_ids: Iterable[str],
        *,
        since: datetime,
        until: datetime,
        granularity: str = "daily",
        metrics: Iterable[str] = (
            "compute_unit_seconds",
            "root_branch_bytes_month",
            "child_branch_bytes_month",
        ),
    ) -> tuple[Consumption, ...]:
        """What branches used, per branch and time; wakes no compute.

        Args:
            org_id: the organisation.
            project_ids: at most 100.
            since: aware begin.
            until: aware end.
            granularity: ``hourly`` (of the last 168 hours), ``daily`` (60 days) or ``monthly`` (a year).
            metrics: Neon's names of them.

        Raises:
            Unauthorized: the plan does not offer it (403).
        """
        params: Params = {
            "org_id": org_id,
            "project_ids": ",".join(project_ids),
            "from": written(since),
            "to": written(until),
            "granularity": granularity,
            "metrics": ",".join(metrics),
        }
        where, found = "/consumption_history/v2/branches", list[Consumption]()
        cursor: str | None = None
        while True:
            body = self._wire.get(where, {**params, "limit": 1000, "cursor": cursor}).body
            found += _consumption(where, body)
            last, cursor = cursor, (body.get("pagination") or {}).get("cursor")
            if len(body["branches"]) < 1000 or not cursor or cursor == last:
                return tuple(found)


def _consumption(where: str, body: Mapping[str, Any]) -> list[Consumption]:
    made: list[Consumption] = parsed(
        f"GET {where}", lambda: [one for each in body["branches"] for one in Consumption.of_branch(each)]
    )
    return made
