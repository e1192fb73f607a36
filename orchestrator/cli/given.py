"""What several commands take from a person: names, flags, answers; and everything assembled for this folder."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.bootstrap import Assembly
    from orchestrator.cli.render import Progress
    from orchestrator.cli.rooms import Diary, Rooms
    from orchestrator.lifecycle import Event, Store
    from orchestrator.settings import Settings


def checked_name(context: typer.Context, name: str | None) -> str | None:
    """The name, looked at before anything is read, connected to or started.

    Raises:
        UsageError: no preview can have it.
    """
    if name is None or context.resilient_parsing:
        return name
    from orchestrator.settings import check_name

    return check_name(name)


Name = Annotated[
    str,
    typer.Argument(help="The preview's name: lower-case letters, digits and hyphens.", callback=checked_name),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on standard error.")]


def parse_answers(given: list[str]) -> dict[str, str]:
    """``ID=VALUE`` words to a mapping.

    Raises:
        UsageError: a word has no ``=``.
    """
    answers = {}
    for word in given:
        question, separator, value = word.partition("=")
        if not separator or not question:
            raise UsageError(
                f"{word!r} is not an answer", hint="write ID=VALUE, as printed with the question"
            )
        answers[question] = value
    return answers


def brought_image(image: str | None) -> dict[str, Any] | None:
    """What `up` brings along when an image was named.

    Raises:
        UsageError: there is no server that could take it.
    """
    from orchestrator.remote.wire import SERVER, server

    if image is None:
        return None
    if server() is None:
        raise UsageError(
            f"--image is for a team's server, and ${SERVER} is not set", hint="set app.image in preview.toml"
        )
    return {"source": {"image": image}}


def answers_file(settings: "Settings | None") -> Path | None:
    """Where answers are kept for review, when that is set."""
    name = settings.migration.answers if settings else None
    return settings.path(name) if settings and name else None


def kept_answers(settings: "Settings | None") -> dict[str, str]:
    """The answers in that file."""
    from orchestrator.answers import read_answers

    file = answers_file(settings)
    return read_answers(file) if file else {}


def keep_answers(settings: "Settings | None", answers: Mapping[str, str], progress: "Progress") -> None:
    """Write answers that were taken to that file, when there is to be one."""
    from orchestrator.answers import write_answers

    file = answers_file(settings)
    if file and answers and write_answers(file, answers):
        progress.say(f"  answers written to {file.name}: review them with the code that needs them")


@contextmanager
def assembled(progress: "Progress", *, patience_seconds: float = 0.0) -> "Iterator[Rooms]":
    """What commands about previews work with: everything for the preview.toml of this folder, or a team's server."""
    from orchestrator.remote.wire import server

    if server() is None:
        with assembled_here(progress, patience_seconds=patience_seconds) as assembly:
            yield assembly
        return
    from orchestrator.remote.rooms import open_rooms

    with open_rooms(_own_settings(), progress) as rooms:
        yield rooms


@contextmanager
def assembled_here(progress: "Progress", *, patience_seconds: float = 0.0) -> Iterator["Assembly"]:
    """Everything for the preview.toml of this folder, on this machine.

    Raises:
        UsageError: the commands go to a server, which does not do this for others.
    """
    only_here()
    from orchestrator.bootstrap import assemble
    from orchestrator.lifecycle.around import patient
    from orchestrator.settings import find, load

    settings = load(find(Path.cwd()))
    with assemble(settings, progress, wait=patient(progress.say, patience_seconds)) as assembly:
        if not settings.notify.to:
            yield assembly
            return
        before = assembly.store.following().last()
        try:
            yield assembly
        finally:
            _tell_others(assembly, before)


def only_here() -> None:
    """Refuse what is never done at a server for others.

    Raises:
        UsageError: the commands go to a server.
    """
    from orchestrator.remote.wire import SERVER, server

    if server() is not None:
        raise UsageError(
            f"this is done on the server's own machine only, and ${SERVER} is set",
            hint=f"unset {SERVER} to work with this folder's own project",
        )


def _tell_others(assembly: "Assembly", before: int) -> None:
    """Have others told by a process of its own, which nobody waits for; whatever goes wrong there is kept there."""
    import subprocess
    import sys
    from contextlib import suppress

    from orchestrator.errors import OrchestratorError

    with suppress(OSError, OrchestratorError):
        if assembly.store.following().last() == before:
            return
        subprocess.Popen(
            [sys.executable, "-m", "orchestrator", "notify"],
            cwd=assembly.settings.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


@contextmanager
def diary() -> "Iterator[Diary]":
    """What `list` and `history` show, here or at a team's server."""
    from orchestrator.remote.wire import open_wire, server

    if server() is not None:
        from orchestrator.cli.render import Progress
        from orchestrator.remote.rooms import RemoteRooms

        with open_wire() as wire:
            yield RemoteRooms(wire, None, Progress())
        return
    from orchestrator.opening import open_store
    from orchestrator.settings import find, load

    settings = load(find(Path.cwd()))
    with open_store(settings) as store:
        yield _DiaryHere(store, settings)


class _DiaryHere:
    def __init__(self, store: "Store", settings: "Settings") -> None:
        self._store = store
        self._settings = settings

    def previews(self, *, closed: bool) -> list[dict[str, Any]]:
        from orchestrator.facts import previews_json

        return previews_json(self._store, self._store.live(closed=closed))

    def past(self, name: str | None) -> "tuple[tuple[str, Event], ...]":
        from orchestrator.facts import past

        return past(self._store, name, project=self._whose(name))

    def promotions(self, name: str | None = None) -> list[dict[str, Any]]:
        from orchestrator.facts import promotions_json

        found = promotions_json(self._store, self._whose(name))
        return [each for each in found if name is None or each["preview"] == name]

    def _whose(self, name: str | None) -> str | None:
        """Projects may each have had a preview of a name; asks Neon for this folder's only then."""
        from orchestrator.bootstrap import open_project
        from orchestrator.facts import whose

        def own() -> str:
            with open_project(self._settings) as project:
                return project.key

        return whose(self._store, name, own) if name is not None else None


def _own_settings() -> "Settings | None":
    """This folder's preview.toml, if it has one."""
    from orchestrator.settings import FILE_NAME, load

    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / FILE_NAME).is_file():
            return load(folder / FILE_NAME)
    return None


def result_to(output: Path | None, text: str) -> None:
    """Print a result, or write it to a file and print where.

    Raises:
        UsageError: the file cannot be written.
    """
    from orchestrator.cli import render

    if output is None:
        render.result(text)
        return
    try:
        output.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}") from None
    render.result(str(output))
