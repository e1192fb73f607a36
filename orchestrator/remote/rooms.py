"""A team's server in the shape of the rooms that commands use: verbs become jobs, looks become requests.

What happens there is told to the observer here, as it happens. Reaches nothing but the server.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

from orchestrator.errors import UnknownPreview, UsageError
from orchestrator.healing import Healed
from orchestrator.lifecycle import Event, Preview
from orchestrator.migration.plan import Hazard, Plan
from orchestrator.remote.following import Teller, follow, patiently
from orchestrator.remote.reverting import RemoteReverts
from orchestrator.remote.sources import send_sources
from orchestrator.remote.wire import Wire, open_wire, quoted
from orchestrator.settings import FILE_NAME, Settings
from orchestrator.steps.surroundings import service_name


@dataclass(frozen=True, slots=True)
class _There:
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    name: str
    wanted: str
    seen: str
    well: bool | None

    def to_json(self) -> dict[str, Any]:
        """All but the name."""
        return {"wanted": self.wanted, "seen": self.seen, "well": self.well}


@dataclass(frozen=True, slots=True)
class _Main:
    name: str


class RemoteRooms:
    """See orchestrator.cli.rooms.Rooms; each part answers for itself, so one object is all of them.

    Args:
        wire: to the server.
        settings: this folder's preview.toml, if there is one: for what lies in this folder, the sources and the
            answers file. What it says about project, goal and safety does not reach the server.
        observer: told what happens in a job.
    """

    def __init__(self, wire: Wire, settings: Settings | None, observer: Teller) -> None:
        self._wire = wire
        self.settings = settings
        self._observer = observer

    # the parts

    @property
    def controller(self) -> "RemoteRooms":
        """The verbs."""
        return self

    @property
    def project(self) -> "RemoteRooms":
        """The project."""
        return self

    @property
    def store(self) -> "RemoteRooms":
        """The diary."""
        return self

    @property
    def candidates(self) -> "RemoteRooms":
        """The apps."""
        return self

    @property
    def sleeping(self) -> "RemoteRooms":
        """Sleep and wake."""
        return self

    @property
    def healing(self) -> "RemoteRooms":
        """What is really there."""
        return self

    @property
    def lifetime(self) -> "RemoteRooms":
        """How long previews live."""
        return self

    @property
    def sweeping(self) -> "RemoteRooms":
        """What should not be there."""
        return self

    @property
    def mailbox(self) -> "RemoteRooms":
        """What previews would have mailed."""
        return self

    @cached_property
    def reverts(self) -> RemoteReverts:
        """The ways back."""
        return RemoteReverts(self._wire, self._observer)

    # looking

    @cached_property
    def _told(self) -> Mapping[str, Any]:
        told: Mapping[str, Any] = self._wire.get("/settings")
        return told

    @property
    def key(self) -> str:
        """The project's key."""
        return str(self._told["project"])

    @property
    def main(self) -> _Main:
        """Production's branch."""
        return _Main(str(self._told["main"]))

    @property
    def services(self) -> tuple[str, ...]:
        """The names of the services that stand beside every app."""
        return tuple(self._told["services"])

    def mine(self, name: str) -> Preview:
        """The live preview of this name."""
        return Preview.from_json(self._row(name)["row"])

    def find(self, name: str) -> Preview | None:
        """The live preview of this name, or None."""
        try:
            return self.mine(name)
        except UnknownPreview:
            return None

    def shadow_of(self, preview_id: str) -> Preview | None:
        """The preview that is to take another's place."""
        value = self._wire.get(f"/shadows/{quoted(preview_id)}")["row"]
        return Preview.from_json(value) if value else None

    def refused_hazards(self, plan: Plan, allowed: Iterable[str] = ()) -> tuple[Hazard, ...]:
        """The hazards of a plan that the server's settings stop, unless they are allowed."""
        yes = frozenset(allowed)
        codes = frozenset(self._told["blocking"])
        fine = frozenset(self._told["allowed"]) | yes
        return tuple(
            each
            for each in plan.hazards
            if each.code in codes and each.code not in fine and each.name not in fine
        )

    def runtime(self, preview: Preview) -> "_RemoteRuntime":
        """Where this preview's app runs."""
        return _RemoteRuntime(self._wire, preview, self.services)

    def look(self, preview: Preview) -> "tuple[_Part, ...]":
        """See orchestrator.healing."""
        parts = self._wire.get(f"/previews/{quoted(preview.name)}/parts")
        names = ("name", "wanted", "seen", "well")
        return tuple(_Part(**{name: each[name] for name in names}) for each in parts)

    def mails(self, preview: Preview) -> list[dict[str, Any]]:
        """See Mailbox."""
        value: list[dict[str, Any]] = self._wire.get(f"/previews/{quoted(preview.name)}/mails")
        return value

    def source(self, preview: Preview, mail_id: str) -> str:
        """See Mailbox."""
        return str(self._wire.get(f"/previews/{quoted(preview.name)}/mails/{quoted(mail_id)}")["source"])

    def previews(self, *, closed: bool) -> list[dict[str, Any]]:
        """See Diary."""
        value: list[dict[str, Any]] = self._wire.get("/previews", closed=closed)
        return value

    def past(self, name: str | None) -> tuple[tuple[str, Event], ...]:
        """See Diary."""
        path = f"/previews/{quoted(name)}/history" if name else "/history"
        return tuple((each["name"], Event.from_json(each)) for each in self._wire.get(path))

    def promotions(self, name: str | None = None) -> list[dict[str, Any]]:
        """See Diary."""
        value: list[dict[str, Any]] = self._wire.get("/promotions")
        return [each for each in value if name is None or each["preview"] == name]

    def _row(self, name: str) -> Mapping[str, Any]:
        value: Mapping[str, Any] = self._wire.get(f"/previews/{quoted(name)}/row")
        return value

    # doing

    def up(
        self,
        name: str,
        *,
        answers: Mapping[str, str],
        fresh: bool = False,
        brought: Mapping[str, Any] | None = None,
    ) -> Preview:
        """See UpVerbs; this folder's sources, or the image that was brought, go to the server first."""
        image = ((brought or {}).get("source") or {}).get("image")
        arguments: dict[str, Any] = {"answers": dict(answers), "fresh": fresh}
        if image:
            arguments["image"] = image
        elif not self._told["app"]["image"]:
            if self.settings is None:
                raise UsageError(
                    f"there is no {FILE_NAME} here, which says where the app's sources are",
                    hint="run this in the app's folder, or give --image",
                )
            arguments["context"] = send_sources(
                self._wire,
                self.settings,
                dockerfile=str(self._told["app"]["dockerfile"]),
                most=int(self._told["largest_upload"]),
                detail=self._observer.detail,
            )
        return self._do("up", name, arguments)

    def answer(self, name: str, answers: Mapping[str, str]) -> Preview:
        """See UpVerbs."""
        return self._do("answer", name, {"answers": dict(answers)})

    def approve(self, name: str, *, allow: Iterable[str], note: str = "") -> Preview:
        """See PromotionVerbs."""
        return self._do("approve", name, {"allow": list(allow), "note": note})

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
        arguments = {"allow": list(allow), "keep": keep, "rebase": rebase, "phase": phase}
        # It may be asked for again and again: each time it is a yes to what is there now.
        if looked_at := self._wire.get(f"/previews/{quoted(name)}").get("looked_at"):
            arguments["looked_at"] = looked_at
        return patiently(lambda: self._do("promote", name, arguments), wait)

    def rebase(self, name: str, *, answers: Mapping[str, str]) -> Preview:
        """See RebaseVerbs."""
        return self._do("rebase", name, {"answers": dict(answers)})

    def discard(self, name: str, *, force: bool = False, keep_for: timedelta | None = None) -> Preview:
        """See Controller."""
        kept = _duration(keep_for) if keep_for is not None else None
        return self._do("discard", name, {"force": force, "keep_for": kept})

    def extend(self, name: str, by: timedelta) -> Preview:
        """See Lifetime."""
        return self._do("extend", name, {"lasting": _duration(by)})

    def keep(self, name: str) -> Preview:
        """See Lifetime."""
        return self._do("keep", name, {})

    def restore(self, name: str) -> Preview:
        """See Lifetime."""
        return self._do("restore", name, {})

    def sleep(self, preview_id: str) -> Preview:
        """See orchestrator.sleeping."""
        return self._do("sleep", self._name_of(preview_id), {})

    def wake(self, preview_id: str) -> Preview:
        """See orchestrator.sleeping."""
        return self._do("wake", self._name_of(preview_id), {})

    def mend(self, name: str | None) -> tuple[Healed, ...]:
        """See orchestrator.healing."""
        told = self._ask("reconcile", "", {"name": name})
        return tuple(
            Healed(
                name=each["name"],
                done=tuple(each["done"]),
                cannot=tuple(each["cannot"]),
                left=tuple(each.get("left", ())),  # a server of before does not say
            )
            for each in told["outcomes"]
        )

    def sweep(self, *, of_stores: Collection[str] = (), yes: bool = False) -> dict[str, Any]:
        """See orchestrator.sweeping."""
        return dict(self._ask("sweep", "", {"of_stores": list(of_stores), "yes": yes}))

    def _name_of(self, preview_id: str) -> str:
        for each in self.previews(closed=False):
            if each["id"] == preview_id:
                return str(each["name"])
        raise UnknownPreview(f"there is no preview with id {preview_id}")

    def _do(self, act: str, name: str, arguments: Mapping[str, Any]) -> Preview:
        """Ask for an act on a preview; the row that it ended with."""
        return Preview.from_json(self._ask(act, name, arguments))

    def _ask(self, act: str, name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return follow(self._wire, act, name, arguments, self._observer)


class _RemoteRuntime:
    def __init__(self, wire: Wire, preview: Preview, services: Iterable[str]) -> None:
        self._wire = wire
        self._name = preview.name
        self._services = {service_name(preview, each): each for each in services}

    def observe(self, _container: str) -> _There | None:
        """What the server sees."""
        seen = self._wire.get(f"/previews/{quoted(self._name)}/row")["seen"]["app"]
        return None if seen == "gone" else _There(seen)

    def logs(self, container: str, *, tail: int = 100, follow: bool = False) -> Iterable[str]:
        """The lines that the app, or a service beside it, said."""
        path, service = f"/previews/{quoted(self._name)}/logs", self._services.get(container)
        with self._wire.lines(path, tail=tail, follow=follow, service=service) as lines:
            yield from lines


def _duration(time: timedelta) -> str:
    return f"{int(time.total_seconds())}s"


@contextmanager
def open_rooms(settings: Settings | None, observer: Teller) -> Iterator[RemoteRooms]:
    """The server that the environment names."""
    with open_wire() as wire:
        yield RemoteRooms(wire, settings, observer)
