"""Giving main the data of a promotion's restore point back: what was written since is lost, and said. Touches Neon.

Main keeps its id, its endpoint and its address; the state before stays as a branch of its own.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from neon_client.models import Branch
from orchestrator.database import Connection
from orchestrator.errors import OrchestratorError, PlanDoesNotConverge, Refused
from orchestrator.lifecycle import Promotion, Promotions
from orchestrator.postgres.inspect import inspect
from orchestrator.steps import proof
from orchestrator.steps.border import translating
from orchestrator.steps.on_main import OnMain
from orchestrator.steps.outlook import Outlook, assert_as_shown
from orchestrator.steps.project import RESTORE, NeonProject, former_main_name, restore_name
from orchestrator.steps.release import Releases
from orchestrator.steps.revert import finish, outcome_of, put_image_back
from orchestrator.steps.telling import table_names

Say = Callable[[str], None]


class RestorePointWay:
    """Takes promotions back by their restore points."""

    def __init__(
        self, project: NeonProject, promotions: Promotions, on_main: OnMain, *, releases: Releases
    ) -> None:
        self._project = project
        self._promotions = promotions
        self._on_main = on_main
        self._releases = releases

    def look(self, promotion: Promotion, detail: Say) -> Outlook:
        """What it would lose, as far as can be known; changes nothing.

        Raises:
            Refused: there is no restore point any more.
        """
        revert = self._promotions.revert_of(promotion.id)
        if revert is not None and revert.touched and self._restored(revert):
            return self._rest(promotion)
        point, branch = self._point(promotion)
        databases, later = self._project.databases(), self._since(promotion, branch)
        with (
            translating(f"looking at the restore point of {promotion.preview_name}"),
            self._project.connect_reading(self._project.main.id, "look at the way back") as main,
            self._project.connect_reading(point["branch"]["id"], "look at the restore point") as kept,
        ):
            detail("counting rows in production and in the restore point")
            since = f"{point['at'][:19].replace('T', ' ')} UTC"
            losses = (
                f"everything that was written since {since}, in all databases of main: {', '.join(databases)}",
                *later,
                *_rows(main, kept, promotion),
                *(
                    f"rows of database {each}, which were not counted"
                    for each in databases
                    if each != self._project.database
                ),
            )
        return self._outlook(promotion, branch, databases, later, losses)

    def _outlook(
        self,
        promotion: Promotion,
        branch: Branch,
        databases: tuple[str, ...],
        later: tuple[str, ...],
        losses: tuple[str, ...] = (),
    ) -> Outlook:
        return Outlook(
            promotion=promotion,
            way="restore_point",
            losses=losses,
            bound=(f"restore point {branch.id}", *databases, *later),
            app=self._releases.would_put_back(outcome_of(self._releases, promotion)),
        )

    def _since(self, promotion: Promotion, point: Branch) -> tuple[str, ...]:
        """What was promoted, or taken back, since: it goes with it. Also what only another diary knows."""
        known = self._promotions.all()
        said = []
        for each in known:
            if each.number > promotion.number and each.touched and each.reverts != promotion.id:
                where = f" in database {each.database}" if each.database != promotion.database else ""
                when = f"{each.at:%Y-%m-%d %H:%M} UTC"
                said.append(
                    f"the {each.kind} {each.id} of {each.preview_name}{where} at {when}, which is undone, too"
                )
        with translating("looking for later restore points"):
            points = self._project.neon.branches(self._project.id, search=RESTORE)
        ours = {restore_name(each) for each in known} | {former_main_name(each) for each in known}
        theirs = sorted(
            each.name
            for each in points
            if each.name.startswith(RESTORE) and each.name not in ours and _younger(each, point)
        )
        undone = (
            f"the promotion whose restore point is {each}, which another diary knows, and which is undone, too"
            for each in theirs
        )
        return (*said, *undone)

    def _restored(self, revert: Promotion) -> bool:
        """Whether main has the restore point's data already, by this revert; somebody may have renamed what it kept."""
        if self._promotions.get(revert.id).last("restored") is not None:
            return True
        with translating("looking whether main was restored"):
            return self._project.neon.find_branch(self._project.id, former_main_name(revert)) is not None

    def _rest(self, promotion: Promotion) -> Outlook:
        """What is left once main has the data: nothing that needs the restore point, whose time may be over."""
        name = self._remembered(promotion)["branch"]["name"]
        return Outlook(
            promotion=promotion,
            way="restore_point",
            losses=(f"nothing more: main has the data of {name} already, and only the proof is left",),
            bound=(f"the end of going back to {name}",),
            app=self._releases.would_put_back(outcome_of(self._releases, promotion)),
        )

    def _remembered(self, promotion: Promotion) -> Mapping[str, Any]:
        """What the history knows of the restore point, whether it is still there or not."""
        if not promotion.touched:
            raise Refused(
                f"nothing of the promotion {promotion.id} of {promotion.preview_name} is on production",
                hint="there is nothing to take back; `preview history` tells what was promoted",
            )
        point = promotion.last("restore_point")
        if not point or not point.get("branch"):
            raise Refused(
                f"the promotion {promotion.id} of {promotion.preview_name} has no restore point",
                hint="Neon's own history may reach back to it: `preview history show "
                f"{promotion.id}` has the time and the LSN",
            )
        return point

    def _point(self, promotion: Promotion) -> tuple[Mapping[str, Any], Branch]:
        point = self._remembered(promotion)
        with translating("looking for the restore point"):
            found = self._project.neon.find_branch(self._project.id, point["branch"]["name"])
        if found is None or found.id != point["branch"]["id"]:
            raise Refused(
                f"the restore point {point['branch']['name']} is gone",
                hint="it was kept as long as promote.keep_days says",
            )
        return point, found

    def run(
        self, outlook: Outlook, revert: Promotion, detail: Say, ended: Callable[[], None]
    ) -> dict[str, Any]:
        """Do it; running again goes on, and never restores twice.

        Args:
            outlook: what was said yes to.
            revert: its row in the history.
            detail: told what is being done.
            ended: writes down what else ends with it, in the same act.

        Returns:
            The proof.

        Raises:
            PromotionUnderWay: somebody else has the turn on main.
            Refused: the restore point is gone.
        """
        promotion = outlook.promotion
        try:
            with translating(f"going back to the restore point of {promotion.preview_name}"):
                return self._run(outlook, revert, detail, ended)
        except OrchestratorError as error:
            error.nothing_done = not self._promotions.get(revert.id).touched
            self._promotions.record(
                revert.id,
                "refused" if error.nothing_done else "failed",
                note=error.message,
                detail={"kind": type(error).__name__, "hint": error.hint, "detail": error.detail},
            )
            raise

    def _run(
        self, outlook: Outlook, revert: Promotion, detail: Say, ended: Callable[[], None]
    ) -> dict[str, Any]:
        project, promotion, kept_as = self._project, outlook.promotion, former_main_name(revert)
        point = self._remembered(promotion)
        before = project.uri(project.main.id)
        with self._on_main.turn(revert.id, f"revert {promotion.preview_name}") as main:
            # Never twice: what was written since the first time would be gone. Somebody may have removed the branch.
            if not self._restored(revert):
                _, branch = self._point(promotion)
                self._on_main.assert_alone(main)
                databases = project.databases()
                now_shown = self._outlook(promotion, branch, databases, self._since(promotion, branch))
                assert_as_shown(outlook, now_shown)
                now = inspect(main)
                self._on_main.assert_alone(main)  # once more: looking took a while
                with self._promotions.together():
                    self._promotions.carry(revert.id, "base", now.to_json())
                    self._promotions.record(
                        revert.id,
                        "applying",
                        note=f"to the restore point {point['branch']['name']}",
                        detail={
                            "main": now.fingerprint(),
                            "database": project.database,
                            "statements": [],
                            "rows": {},
                        },
                    )
                detail(f"giving main the data of {point['branch']['name']}; its state is kept as {kept_as}")
                began = time.perf_counter()
                with _ending(main):
                    project.neon.restore_branch(
                        project.id,
                        project.main.id,
                        source_branch_id=point["branch"]["id"],
                        preserve_under_name=kept_as,
                        overwrite_main=True,
                    )
                self._promotions.record(
                    revert.id,
                    "restored",
                    note=f"the state before is kept as {kept_as}",
                    detail={"kept_as": kept_as, "from": point["branch"]},
                    milliseconds=(time.perf_counter() - began) * 1000,
                )
        changed = before.reveal() != project.uri(project.main.id).reveal()
        # The restore has ended the turn: who promoted since must not be given the earlier version of the app.
        with self._on_main.turn(revert.id, f"revert {promotion.preview_name}") as main:
            return self._proved(promotion, revert, main, point, changed, detail, ended)

    def _proved(
        self,
        promotion: Promotion,
        revert: Promotion,
        main: Connection,
        point: Mapping[str, Any],
        changed: bool,
        detail: Say,
        ended: Callable[[], None],
    ) -> dict[str, Any]:
        detail("proving that production is what it was")
        began = time.perf_counter()
        after = inspect(main)
        if after.fingerprint() != point["fingerprint"]:
            raise PlanDoesNotConverge(
                "production's schema is not that of the restore point",
                hint=f"its state before is kept as {former_main_name(revert)}; look at both before anything else",
            )
        put_image_back(self._promotions, self._releases, promotion, revert, detail)
        found = {"equal": True, "fingerprint": after.fingerprint(), "password_changed": changed}
        finish(self._promotions, revert, after, found, (time.perf_counter() - began) * 1000, ended)
        return found


def _younger(branch: Branch, than: Branch) -> bool:
    """Whether a branch was made later; True where nobody knows."""
    return branch.created_at is None or than.created_at is None or branch.created_at > than.created_at


@contextmanager
def _ending(main: Connection) -> Iterator[None]:
    """The restore ends every connection to main, this one and its turn too: nothing more is asked of it."""
    try:
        yield
    finally:
        main.close()


def _rows(main: Connection, kept: Connection, promotion: Promotion) -> Iterator[str]:
    """How many rows each table has more or less than the restore point, and what the server counted of writes."""
    now_tables = table_names(inspect(main))
    now, then = proof.count(main, now_tables), proof.count(kept, table_names(inspect(kept)))
    written = proof.written(main)
    before = (promotion.last("applying") or {}).get("written", {})
    for table in sorted(now.keys() | then.keys()):
        if table not in now:
            yield f"{table} comes back with {then[table]['rows']:,} rows"
            continue
        said = [] if table in then else [f"goes, with {now[table]['rows']:,} rows"]
        if table in then and (more := now[table]["rows"] - then[table]["rows"]):
            exact = now[table]["exact"] and then[table]["exact"]
            said.append(
                f"{'' if exact else 'about '}{abs(more):,} rows {'more' if more > 0 else 'less'} than then"
            )
        counts = written.get(table)
        old = before.get(table)
        if counts and old and all(a >= b for a, b in zip(counts, old, strict=True)) and counts != old:
            inserted, updated, deleted = (a - b for a, b in zip(counts, old, strict=True))
            said.append(
                f"{inserted:,} inserts, {updated:,} updates and {deleted:,} deletes since, as the server counts"
            )
        if said:
            yield f"{table}: {'; '.join(said)}"
