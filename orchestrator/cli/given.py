"""What several commands take from a person: names, flags, answers; and everything assembled for this folder."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.bootstrap import Assembly
    from orchestrator.cli.render import Progress
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


def answers_file(settings: "Settings") -> Path | None:
    """Where answers are kept for review, when that is set."""
    name = settings.migration.answers
    return settings.path(name) if name else None


def kept_answers(settings: "Settings") -> dict[str, str]:
    """The answers in that file."""
    from orchestrator.answers import read_answers

    file = answers_file(settings)
    return read_answers(file) if file else {}


def keep_answers(settings: "Settings", answers: Mapping[str, str], progress: "Progress") -> None:
    """Write answers that were taken to that file, when there is to be one."""
    from orchestrator.answers import write_answers

    file = answers_file(settings)
    if file and answers and write_answers(file, answers):
        progress.say(f"  answers written to {file.name}: review them with the code that needs them")


@contextmanager
def assembled(progress: "Progress", *, patience_seconds: float = 0.0) -> Iterator["Assembly"]:
    """Everything for the preview.toml of this folder."""
    from orchestrator.bootstrap import assemble
    from orchestrator.settings import find, load

    with assemble(load(find(Path.cwd())), progress, wait=_waiting(progress, patience_seconds)) as assembly:
        yield assembly


def _waiting(progress: "Progress", patience_seconds: float) -> Callable[[str], bool]:
    """What to do while another process holds the lease: say so once, wait a little, give up after a while."""
    until = time.monotonic() + patience_seconds
    told = False

    def wait(holder: str) -> bool:
        nonlocal told
        if time.monotonic() > until:
            return False
        if not told:
            progress.say(f"  waiting for {holder}")
            told = True
        time.sleep(0.1)
        return True

    return wait
