"""What a preview should have and what is really there; and bringing back what can be brought back.

A deleted branch cannot: its data is gone, and a fresh one is another rehearsal, which only a person asks for.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from neon_client.errors import NotFound
from neon_client.models import Branch
from orchestrator.controller import Controller
from orchestrator.errors import Busy, OrchestratorError, StepFailed
from orchestrator.lifecycle import Preview, State, Store, Wanted
from orchestrator.lifecycle.lease import Lease
from orchestrator.lifetime import Lifetime
from orchestrator.steps.backstop import backstop, set_end
from orchestrator.steps.border import translating
from orchestrator.steps.launch import Candidates, LaunchStep, candidate_name
from orchestrator.steps.project import NeonProject
from orchestrator.verbs import failed_in
from preview.errors import ImageNotFound
from preview.health import look
from preview.spec import HealthCheck

#: A working row that nobody holds is left alone so long: whoever made it may be about to take it.
_FRESH = timedelta(seconds=60)
#: Neon's end of a branch is moved on when it is off by more.
_DRIFT = timedelta(hours=1)
_LOOK_SECONDS = 2.0
FELL_ASLEEP = "fell asleep: nobody asked for it"
#: Where the app should run, and where the branch should be there.
_WITH_APP = frozenset({State.READY, State.PROMOTED})
_WITH_BRANCH = frozenset({*_WITH_APP, State.WAITING, State.LAUNCHING, State.CHECKING, State.PROMOTING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One thing of a preview: wanted and seen.

    Attributes:
        name: ``promotion`` or ``run``, while it is worked on; ``branch``, ``compute``, ``app`` or ``url``.
        wanted: what should be there, in words.
        seen: what is there, in words.
        well: whether that is as it should be; None: it was not looked at.
    """

    name: str
    wanted: str
    seen: str
    well: bool | None

    def to_json(self) -> dict[str, Any]:
        """All attributes by name."""
        return {"wanted": self.wanted, "seen": self.seen, "well": self.well}


@dataclass(frozen=True, slots=True, kw_only=True)
class Healed:
    """What came of a look at one preview.

    Attributes:
        name: whose.
        done: what was brought about, in words.
        cannot: what could not, and the next command.
        left: what was left alone, because somebody else has it or may be about to, in words.
    """

    name: str
    done: tuple[str, ...] = ()
    cannot: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """All attributes by name."""
        return {
            "name": self.name,
            "done": list(self.done),
            "cannot": list(self.cannot),
            "left": list(self.left),
        }


@dataclass(frozen=True, kw_only=True)
class Healing:
    """Looks at previews of one project and heals them.

    Attributes:
        store: the diary.
        project: where their branches are.
        candidates: their apps.
        launch: starts one.
        controller: goes on with what a dead process left.
        lifetime: whose time is over.
        health: the path that an app answers on.
        measure: looks at what previews take and cost.
        put_idle_to_sleep: puts previews to sleep that nobody asks for; returns their names.
        detail: told what is being done.
    """

    store: Store
    project: NeonProject
    candidates: Candidates
    launch: LaunchStep
    controller: Controller
    lifetime: Lifetime
    health: str
    measure: Callable[[Sequence[Preview]], None]
    put_idle_to_sleep: Callable[[], Sequence[str]]
    detail: Callable[[str], None]

    # looking

    def look(self, preview: Preview) -> tuple[Part, ...]:
        """Wanted and seen of each thing; what cannot be looked at says so. Wakes no compute and no app."""
        return (*self._of_work(preview), *self._of_neon(preview), *self._of_app(preview))

    def _of_work(self, preview: Preview) -> tuple[Part, ...]:
        if not preview.state.working:
            return ()
        name = "promotion" if preview.state is State.PROMOTING else "run"
        if self.store.worked_on([preview.id]):
            return (Part(name=name, wanted="under way", seen="under way", well=True),)
        if name == "run" and (rests := _rests(preview)):
            return (Part(name=name, wanted="under way", seen=rests, well=None),)
        stopped = "stopped half-way, and nobody goes on with it"
        return (Part(name=name, wanted="under way", seen=stopped, well=False),)

    def _of_neon(self, preview: Preview) -> tuple[Part, ...]:
        known = preview.facts.get("branch")
        wanted = str(known["name"]) if known and preview.state in _WITH_BRANCH else "none yet"
        if not known:
            return (Part(name="branch", wanted=wanted, seen="none", well=preview.state not in _WITH_BRANCH),)
        try:
            with translating(f"looking for branch {known['name']}"):
                branch = self._branch(known["id"])
                endpoints = (
                    self.project.neon.endpoints(self.project.id, branch.id) if branch is not None else ()
                )
        except OrchestratorError as error:
            return tuple(
                Part(name=name, wanted=wanted, seen=f"not looked at: {error.message}", well=None)
                for name in ("branch", "compute")
            )
        if branch is None:
            return (
                Part(name="branch", wanted=wanted, seen="gone", well=preview.state not in _WITH_BRANCH),
                Part(name="compute", wanted="on demand", seen="gone", well=preview.state not in _WITH_BRANCH),
            )
        ends = f", Neon ends it at {branch.expires_at:%Y-%m-%d %H:%M} UTC" if branch.expires_at else ""
        compute = next((each for each in endpoints if each.type == "read_write"), None)
        states = {"active": "running", "idle": "asleep, wakes when it is asked"}
        seen = states.get(compute.current_state, compute.current_state) if compute else "gone"
        return (
            Part(name="branch", wanted=wanted, seen=f"there{ends}", well=True),
            Part(name="compute", wanted="on demand", seen=seen, well=compute is not None),
        )

    def _branch(self, branch_id: str) -> Branch | None:
        try:
            return self.project.neon.branch(self.project.id, branch_id)
        except NotFound:
            return None

    def _of_app(self, preview: Preview) -> tuple[Part, ...]:
        url = preview.facts.get("url")
        if not url:
            return (
                Part(
                    name="app", wanted="not started", seen="not started", well=preview.state not in _WITH_APP
                ),
            )
        asleep = bool(preview.facts.get("sleeping_since"))
        wanted = "asleep" if asleep else "running"
        try:
            with translating(f"looking for {candidate_name(preview)}"):
                there = self.candidates.runtime(preview).observe(candidate_name(preview))
        except OrchestratorError as error:
            return (Part(name="app", wanted=wanted, seen=f"not seen ({error.message})", well=None),)
        seen = there.state if there else "gone"
        runs = seen == "running"
        app = Part(name="app", wanted=wanted, seen=seen, well=runs or asleep)
        if asleep:
            return (app,)
        answer = look(urlsplit(url).port or 80, HealthCheck(path=self.health), answer_seconds=_LOOK_SECONDS)
        # An app that is at its work may be slow to say so; one that refuses is not there.
        return (
            app,
            Part(name="url", wanted=url, seen=answer.status, well=answer.healthy),
        )

    # healing

    def reconcile(self, preview: Preview) -> Healed:
        """Bring one preview to what was last asked for, as far as nobody has to decide anything.

        Returns:
            What was done, what could not be, and what was left to another process that works on it.
        """
        return self.reconcile_all((preview,))[0]

    def reconcile_all(self, previews: Iterable[Preview]) -> tuple[Healed, ...]:
        """The same for several, one after the other; then what all of them take and cost is looked at, once."""
        looked = list[Preview]()
        outcomes = list[Healed]()
        for preview in previews:
            outcomes.append(self._reconcile(preview))
            looked.append(preview)
        self.measure(looked)
        return tuple(outcomes)

    def _reconcile(self, preview: Preview) -> Healed:
        try:
            return self._end(preview) or self._bring_back(preview)
        except Busy as busy:
            return Healed(name=preview.name, left=(busy.message,))
        except OrchestratorError as error:
            return Healed(name=preview.name, cannot=(f"{error.message}; {error.hint}".rstrip("; "),))

    def _end(self, preview: Preview) -> Healed | None:
        """Finish what somebody asked to end, or what time ended; None: it is to live."""
        name = preview.name
        if preview.shadow:
            return self._of_shadow(preview)
        if preview.wanted is Wanted.CLOSED and failed_in(preview) is not State.PROMOTING:
            self.controller.discard(name)
            return Healed(name=name, done=("discarded, as was asked for",))
        if self.lifetime.is_over(preview):
            self.lifetime.end(preview)
            return Healed(name=name, done=("discarded: its time was over",))
        return None

    def _of_shadow(self, preview: Preview) -> Healed:
        """A rebase's other half: the replaced one goes; one that is to take its place, `rebase` goes on with."""
        if preview.wanted is not Wanted.CLOSED:
            return Healed(name=preview.name)
        with self.store.lease(preview.id) as lease:
            self.lifetime.engine.run_until_rest(lease)
        return Healed(name=preview.name, done=("removed what a rebase had replaced",))

    def _bring_back(self, preview: Preview) -> Healed:
        if preview.state.working:
            return self._go_on(preview)
        with self.store.lease(preview.id) as lease:
            return self._heal(lease, self.store.get(preview.id))

    def _go_on(self, preview: Preview) -> Healed:
        """A working row: somebody works on it, or somebody died while he did."""
        name = preview.name
        if rests := _rests(preview):
            # Only looked at: whoever is about to take it must not find it taken by us.
            held = bool(self.store.worked_on([preview.id]))
            return Healed(name=name, left=("it is being worked on" if held else rests,))
        with self.store.lease(preview.id):
            pass  # Busy: it is being worked on
        if preview.state is State.PROMOTING:
            # What a person began on production a person goes on with.
            return Healed(
                name=name, cannot=(f"its promotion stopped half-way; `preview promote {name}` goes on",)
            )
        self.controller.up(name, answers={})
        return Healed(name=name, done=(f"went on where it had stopped, {preview.state}",))

    def _heal(self, lease: Lease, preview: Preview) -> Healed:
        parts = {part.name: part for part in self.look(preview)}
        branch = parts["branch"]
        name, done = preview.name, list[str]()
        if branch.well is None:
            return Healed(name=name, cannot=(branch.seen,))
        if not branch.well:
            gone = f"branch {branch.wanted} is gone, and with it what was written to it"
            again = f"`preview up {name} --fresh` makes another and rehearses again"
            return Healed(name=name, cannot=(f"{gone}; {again}",))
        if preview.facts.get("branch") and parts["branch"].seen != "gone":
            done += self._renewed(preview)
        if preview.state not in _WITH_APP or preview.facts.get("sleeping_since"):
            return Healed(name=name, done=tuple(done))
        compute_back = parts["compute"].seen == "gone"
        if compute_back:
            self.detail(f"{name}: making the branch's compute again")
            with translating("making the branch's compute again"):
                self.project.neon.create_endpoint(self.project.id, preview.facts["branch"]["id"])
            done.append("made the branch's compute again")
        if parts["app"].well is None:
            return Healed(name=name, done=tuple(done), cannot=(f"the app was {parts['app'].seen}",))
        if not parts["app"].well or compute_back:
            self._restart(lease, preview, parts["app"].seen)
            done.append(f"started the app again (it was {parts['app'].seen})")
        elif not self.candidates.stands(preview):
            self.detail(f"{name}: starting its sidecar again")
            uri = self.project.uri(preview.facts["branch"]["id"])
            self.candidates.open_again(preview, uri, self.detail)
            done.append("started its sidecar again: its ways in and out, its mail sink")
        return Healed(name=name, done=tuple(done))

    def _renewed(self, preview: Preview) -> list[str]:
        """Neon's own end of the branch, moved on: the heartbeat that it dies without."""
        branch = self._branch(preview.facts["branch"]["id"])
        wanted = backstop(preview.expires_at)
        if branch is None or branch.expires_at == wanted:
            return []
        if branch.expires_at and wanted and abs(branch.expires_at - wanted) < _DRIFT:
            return []
        with translating(f"setting the end of branch {branch.name}"):
            set_end(self.project.neon, self.project.id, branch.id, wanted)
        return [
            f"Neon's end of the branch is {wanted:%Y-%m-%d %H:%M} UTC now" if wanted else "no end any more"
        ]

    def _restart(self, lease: Lease, preview: Preview, seen: str) -> None:
        """The very app that was looked at, never another: what was approved names its image.

        Raises:
            StepFailed: it is not what it was any more, or does not get healthy.
        """
        self.detail(f"{preview.name}: starting the app again (it was {seen})")
        wanted = preview.facts.get("image")
        image = None
        if wanted is not None:
            with translating(f"looking for image {wanted['reference']}"):
                try:
                    image = self.candidates.runtime(preview).image(wanted["reference"])
                except ImageNotFound:
                    image = self.candidates.image(preview, self.detail)
            if image is None or image.id != wanted["id"]:
                raise StepFailed(
                    f"the app of {preview.name} is {seen}, and what it was built from is not there any more as it was",
                    hint=f"`preview up {preview.name}` builds it from the sources as they are, and checks it",
                )
            self.candidates.rely_on(preview, image)
        outcome = self.launch.run(preview, self.detail)
        self.store.record(
            lease,
            to=preview.state,
            kind="healed",
            note=f"the app was {seen}; started again",
            facts=outcome.facts,
            error=preview.error,
        )

    def mend(self, name: str | None) -> tuple[Healed, ...]:
        """Bring back one preview, or all of the project when none is named."""
        return (self.reconcile(self.controller.mine(name)),) if name else self.round()

    def round(self) -> tuple[Healed, ...]:
        """Look at every live preview of the project and heal it; then idle ones fall asleep.

        One round costs one look at each; whatever is wrong with one of them keeps no other from it.
        """
        outcomes = self.reconcile_all(each for each in self.store.live() if each.project == self.project.key)
        asleep = self.put_idle_to_sleep()
        return (*outcomes, *(Healed(name=name, done=(FELL_ASLEEP,)) for name in asleep))


def _rests(preview: Preview) -> str:
    """Why a working row that nobody holds is left alone yet; empty: whoever worked on it is dead."""
    still = _FRESH - (datetime.now(UTC) - preview.updated_at)
    if still <= timedelta(0):
        return ""
    seconds = int(still.total_seconds()) + 1
    return (
        f"nobody holds it; whoever asked for it may be about to, so it is left to them for {seconds} s more"
    )
