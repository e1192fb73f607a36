"""What the commands about previews use, as protocols: everything assembled here, or a team's server, gives it.

A command that is written against these runs unchanged on both. Does nothing itself.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

from orchestrator.lifecycle import Event, Preview
from orchestrator.migration.plan import Hazard, Plan
from orchestrator.settings import Settings


class Asked(Protocol):
    """The verbs; see orchestrator.controller."""

    def up(
        self,
        name: str,
        *,
        answers: Mapping[str, str],
        fresh: bool = False,
        brought: Mapping[str, Any] | None = None,
    ) -> Preview:
        """See UpVerbs."""

    def answer(self, name: str, answers: Mapping[str, str]) -> Preview:
        """See UpVerbs."""

    def approve(self, name: str, *, allow: Iterable[str], note: str = "") -> Preview:
        """See PromotionVerbs."""

    def promote(
        self,
        name: str,
        *,
        allow: Iterable[str],
        keep: bool,
        rebase: bool = True,
        phase: str = "",
        wait: Callable[[str], bool] = lambda _holder: False,
    ) -> Preview:
        """See PromotionVerbs."""

    def rebase(self, name: str, *, answers: Mapping[str, str]) -> Preview:
        """See RebaseVerbs."""

    def discard(self, name: str, *, force: bool = False, keep_for: timedelta | None = None) -> Preview:
        """See Controller."""

    def mine(self, name: str) -> Preview:
        """See Verbs."""

    def refused_hazards(self, plan: Plan, allowed: Iterable[str] = ()) -> tuple[Hazard, ...]:
        """See Guards."""


class Main(Protocol):
    """Production's branch."""

    @property
    def name(self) -> str:
        """Its name."""


class Project(Protocol):
    """The project that previews are of."""

    @property
    def key(self) -> str:
        """As in the diary's rows."""

    @property
    def main(self) -> Main:
        """Production's branch."""


class Rows(Protocol):
    """The diary, as far as commands look into it."""

    def find(self, name: str) -> Preview | None:
        """The live preview of this name."""

    def shadow_of(self, preview_id: str) -> Preview | None:
        """The preview that is to take its place."""


class Sleeping(Protocol):
    """Apps that are stopped until somebody asks."""

    def sleep(self, preview_id: str) -> Preview:
        """See orchestrator.sleeping."""

    def wake(self, preview_id: str) -> Preview:
        """See orchestrator.sleeping."""


class Healed(Protocol):
    """What came of a look at one preview; see orchestrator.healing."""

    @property
    def name(self) -> str:
        """Whose."""

    @property
    def done(self) -> Sequence[str]:
        """What was brought about."""

    @property
    def cannot(self) -> Sequence[str]:
        """What could not."""

    @property
    def left(self) -> Sequence[str]:
        """What was left alone."""

    def to_json(self) -> dict[str, Any]:
        """All of it."""


class Part(Protocol):
    """One thing of a preview, wanted and seen; see orchestrator.healing."""

    @property
    def name(self) -> str:
        """Which."""

    @property
    def wanted(self) -> str:
        """What should be there."""

    @property
    def seen(self) -> str:
        """What is."""

    @property
    def well(self) -> bool | None:
        """Whether that is right; None: not looked at."""

    def to_json(self) -> dict[str, Any]:
        """All but the name."""


class Healing(Protocol):
    """What is really there."""

    def look(self, preview: Preview) -> Sequence[Part]:
        """See orchestrator.healing."""

    def mend(self, name: str | None) -> Sequence[Healed]:
        """See orchestrator.healing."""


class Sweeping(Protocol):
    """What should not be there."""

    def sweep(self, *, of_stores: Collection[str] = (), yes: bool = False) -> dict[str, Any]:
        """See orchestrator.sweeping."""


class Mailbox(Protocol):
    """What previews would have mailed; see orchestrator.mail."""

    def mails(self, preview: Preview) -> list[dict[str, Any]]:
        """All of a preview's, newest first, as JSON."""

    def source(self, preview: Preview, mail_id: str) -> str:
        """One of them, whole."""


class Lifetime(Protocol):
    """How long previews live."""

    def extend(self, name: str, by: timedelta) -> Preview:
        """See orchestrator.lifetime."""

    def keep(self, name: str) -> Preview:
        """See orchestrator.lifetime."""

    def restore(self, name: str) -> Preview:
        """See orchestrator.lifetime."""


class Shown(Protocol):
    """What a revert would do, or did."""

    def to_json(self) -> dict[str, Any]:
        """All of it."""


class Reverts(Protocol):
    """The ways back; what is chosen and shown is handed on as it is."""

    def choose(self, promotion_id: str | None) -> Any:
        """See orchestrator.reverting."""

    def look(self, promotion: Any, *, to_restore_point: bool) -> Shown:
        """See orchestrator.reverting."""

    def revert(self, outlook: Any, *, wait: Callable[[str], bool] = lambda _holder: False) -> Shown:
        """See orchestrator.reverting."""


class There(Protocol):
    """An app as last seen."""

    @property
    def state(self) -> str:
        """In one word."""


class Runtime(Protocol):
    """Where apps run, as far as commands look at it."""

    def observe(self, name: str) -> There | None:
        """What is there under a name."""

    def logs(self, name: str, *, tail: int = 100, follow: bool = False) -> Iterable[str]:
        """The lines that it said."""


class Candidates(Protocol):
    """The apps of previews."""

    def runtime(self, preview: Preview) -> Runtime:
        """Where this preview's app runs."""


class Rooms(Protocol):
    """All of it."""

    @property
    def settings(self) -> Settings | None:
        """This folder's preview.toml; None when a server does the work and there is none here."""

    @property
    def services(self) -> Sequence[str]:
        """The names of the services that stand beside every app."""

    @property
    def controller(self) -> Asked:
        """The verbs."""

    @property
    def project(self) -> Project:
        """The project."""

    @property
    def store(self) -> Rows:
        """The diary."""

    @property
    def candidates(self) -> Candidates:
        """The apps."""

    @property
    def sleeping(self) -> Sleeping:
        """Sleep and wake."""

    @property
    def healing(self) -> Healing:
        """What is really there."""

    @property
    def lifetime(self) -> Lifetime:
        """How long previews live."""

    @property
    def sweeping(self) -> Sweeping:
        """What should not be there."""

    @property
    def mailbox(self) -> Mailbox:
        """What previews would have mailed."""

    @property
    def reverts(self) -> Reverts:
        """The ways back."""


class Diary(Protocol):
    """What `list` and `history` show; opened without anything else."""

    def previews(self, *, closed: bool) -> list[dict[str, Any]]:
        """Previews, oldest first, as JSON."""

    def past(self, name: str | None) -> tuple[tuple[str, Event], ...]:
        """Events with their preview's name, oldest first."""

    def promotions(self, name: str | None = None) -> list[dict[str, Any]]:
        """Promotions and reverts, of all previews or of those of a name, oldest first, as JSON."""
