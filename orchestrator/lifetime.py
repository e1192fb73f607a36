"""How long previews live: extend, keep, restore what was discarded, and whose time is over. Removes nothing itself."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from orchestrator.controller import Controller
from orchestrator.errors import NameTaken, Refused, UnknownPreview, UsageError
from orchestrator.lifecycle import Engine, Preview, State, Store
from orchestrator.settings import check_name
from orchestrator.steps.backstop import backstop, set_end
from orchestrator.steps.border import translating
from orchestrator.steps.discarded import Discarded
from orchestrator.steps.project import NeonProject
from orchestrator.verbs import failed_in


@dataclass(frozen=True, kw_only=True)
class Lifetime:
    """The verbs about time, of one project.

    Attributes:
        store: the diary.
        project: where its branches are.
        controller: whose previews.
        engine: brings back what was discarded.
        discarded: what was kept of it.
        lives_until: when a preview that is brought up now expires; None: never.
    """

    store: Store
    project: NeonProject
    controller: Controller
    engine: Engine
    discarded: Discarded
    lives_until: Callable[[], datetime | None]

    def extend(self, name: str, by: timedelta) -> Preview:
        """Let a preview live longer: from the end that was said, or from now when that is over.

        Raises:
            UsageError: it never expires, or would for ever.
        """
        preview = self.controller.mine(name)
        if preview.expires_at is None:
            raise UsageError(
                f"{name} does not expire", hint=f"`preview discard {name}` ends it; nothing needs extending"
            )
        if by <= timedelta(0):
            raise UsageError("a preview is extended by some time", hint="for example --for 3d")
        try:
            until = max(preview.expires_at, datetime.now(UTC)) + by
        except OverflowError:
            raise UsageError("that is longer than anybody can wait", hint=f"`preview keep {name}`") from None
        after = self.store.live_until(
            preview.id, until, kind="extended", note=f"until {until:%Y-%m-%d %H:%M} UTC"
        )
        self.renew(after)
        return after

    def keep(self, name: str) -> Preview:
        """Let a preview live until it is discarded."""
        preview = self.controller.mine(name)
        if preview.expires_at is not None:
            preview = self.store.live_until(preview.id, None, kind="kept", note="until it is discarded")
        self.renew(preview)
        return preview

    def renew(self, preview: Preview) -> None:
        """Move Neon's own end of the branch on; one that is being worked on gets it when it rests."""
        branch = preview.facts.get("branch")
        if branch and not preview.state.working:
            with translating(f"setting the end of branch {branch['name']}"):
                set_end(self.project.neon, self.project.id, branch["id"], backstop(preview.expires_at))

    def expired(self, now: datetime | None = None) -> tuple[Preview, ...]:
        """The previews of this project whose time is over; one whose promotion is not finished never is.

        Both this machine's clock and the store's must say so: one that jumped ends nobody's preview.
        """
        now = min(now or datetime.now(UTC), self.store.now())
        return tuple(each for each in self.store.live() if self._is_over(each, now))

    def is_over(self, preview: Preview) -> bool:
        """Whether one preview's time is over; see `expired`."""
        return self._is_over(preview, min(datetime.now(UTC), self.store.now()))

    def _is_over(self, preview: Preview, now: datetime) -> bool:
        return (
            preview.project == self.project.key
            and not preview.shadow
            and preview.state is not State.CLOSED
            and preview.expires_at is not None
            and preview.expires_at <= now
            and State.PROMOTING not in (preview.state, failed_in(preview))
            and not (preview.facts.get("expanded") and "promotion" not in preview.facts)
        )

    def end(self, preview: Preview) -> Preview:
        """Discard a preview whose time is over; one that was extended meanwhile is left.

        Raises:
            OrchestratorError: as `Controller.discard` does.
        """
        fresh = self.store.get(preview.id)
        if not self.is_over(fresh):
            return fresh
        ended = f"its time was over at {fresh.expires_at or datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
        self.store.live_until(fresh.id, fresh.expires_at, kind="expired", note=ended)
        return self.controller.discard(fresh.name)

    def restore(self, name: str) -> Preview:
        """Bring back a preview that was discarded with its branch kept, as it was: its data, plan, report, answers.

        The app is started and everything is checked anew.

        Raises:
            UnknownPreview: none of this name was discarded.
            Refused: nothing was kept of it, or no longer.
            NameTaken: a live preview has the name now.
        """
        check_name(name)
        if (live := self.store.find(name)) is not None:
            raise NameTaken(
                f"{name} is a live preview ({live.state})",
                hint=f"`preview show {name}`; nothing was restored",
            )
        preview = self.store.find_last(name, project=self.project.key)
        if preview is None:
            raise UnknownPreview(
                f"no preview {name!r} of this project was discarded", hint="`preview list --all` shows all"
            )
        kept = preview.facts.get("kept")
        if kept is None:
            raise Refused(
                f"nothing was kept of {name}: it was discarded for good",
                hint=f"`preview up {name}` makes a new one; `preview discard --keep-for 2d` keeps the next",
            )
        if datetime.fromisoformat(kept["until"]) <= datetime.now(UTC):
            raise Refused(
                f"the branch of {name} was kept until {kept['until']}, which is over",
                hint=f"`preview up {name}` makes a new one",
            )
        with self.store.lease(preview.id) as lease:
            until = self.lives_until()
            # The branch first: while the row is closed, whoever dies here leaves what the next `restore` finds.
            self.discarded.bring_back(preview, backstop(until))
            self.store.reopen(lease, to=State.LAUNCHING, expires_at=until, note="preview restore")
            return self.engine.run_until_rest(lease)
