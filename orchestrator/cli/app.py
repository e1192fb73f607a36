"""The commands of `preview`, put together; errors become one clear line and an exit code here."""

import os
import sys
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.cli import (
    beginning,
    demo,
    gateway,
    living,
    mailing,
    pages,
    planning,
    previews,
    promoting,
    releasing,
    remembering,
    reporting,
    serving,
    sharing,
)
from orchestrator.errors import OrchestratorError, UsageError

app = typer.Typer(
    name="preview",
    help="Publish an app whose database changes, without fear: `preview up`, click, `preview promote` or "
    "`preview discard`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    beginning,
    planning,
    previews,
    gateway,
    sharing,
    living,
    mailing,
    promoting,
    remembering,
    releasing,
    reporting,
    serving,
    pages,
    demo,
):
    module.register(app)

#: The class of all errors that Typer itself raises about a command line; Typer does not export it.
_WRONG_WORDS: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"preview {version('preview-orchestrator')}\n")
        raise typer.Exit


@app.callback()
def options(
    directory: Annotated[
        Path | None,
        typer.Option(
            "--directory", "-C", help="Look for preview.toml here instead of in the current folder."
        ),
    ] = None,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options that come before the command."""
    del show_version
    if directory is not None:
        if not directory.is_dir():
            raise typer.BadParameter(f"{directory} is not a folder")
        os.chdir(directory)


#: What libpq takes from the environment and would send our own connections elsewhere, whatever their URL says.
_BENDING = ("PGSERVICE", "PGHOSTADDR", "PGOPTIONS", "PGTARGETSESSIONATTRS")


def main() -> None:
    """Run `preview`; never shows a traceback to a user."""
    for name in _BENDING:
        os.environ.pop(name, None)
    try:
        code = _run()
    except Exception as error:  # noqa: BLE001 - the last border: a fault of ours becomes a line and a file
        message = f"unexpected {type(error).__name__}; this is a fault of preview"
        hint = f"report it with {_crash_file()}"
        sys.stderr.write(f"error: {message}\nnext: {hint}\n")
        code = _also_as_json(OrchestratorError(message, hint=hint), 1)
    sys.exit(code)


def _run() -> int:
    """Run the command; errors that we know become a message. Returns the exit code."""
    try:
        code = int(app(standalone_mode=False) or 0)
    except OrchestratorError as error:
        return _told(error)
    except _WRONG_WORDS as error:
        # Typer's own: an unknown option, a missing argument. It shows the usage, too.
        error.show()
        return _also_as_json(UsageError(error.format_message(), hint="add --help"), error.exit_code)
    except typer.Abort:
        sys.stderr.write("\nstopped: the question was not answered\n")
        return _also_as_json(OrchestratorError("stopped: the question was not answered"), 1)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            # Whoever read us has seen enough (`preview logs NAME | head`).
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - the interpreter flushes it at exit
            return 0
        from orchestrator.disk import no_room

        if (full := no_room(error)) is None:
            raise
        return _told(full)
    except SystemExit as end:
        code = int(end.code or 0)
    except KeyboardInterrupt:
        code = 130  # outside of a command; in one, Typer makes it an exit code
    if code == 130:
        hint = (
            "run the same command again and it goes on,\n"
            "or `preview discard NAME` removes everything of that preview."
        )
        sys.stderr.write(f"\nstopped. Nothing is lost: {hint}\n")
        _also_as_json(OrchestratorError("stopped", hint=" ".join(hint.split())), code)
    return code


def _told(error: OrchestratorError) -> int:
    """Say what went wrong. Returns the exit code."""
    from orchestrator.cli import render
    from orchestrator.disk import explained

    render.error(explained(error))
    return _also_as_json(error, error.exit_code)


def _also_as_json(problem: OrchestratorError, code: int) -> int:
    """With --json the error goes to standard output, too, when no value stands there yet. Returns the exit code.

    The words of the command line decide: those that cannot be understood failed before any option had a value.
    """
    if code != 0 and "--json" in takewhile(lambda word: word != "--", sys.argv[1:]):
        from orchestrator.cli import render

        with suppress(BrokenPipeError):
            render.error_json(problem, code)
    return code


def _crash_file() -> str:
    """Write the traceback where only the user can read it; returns where."""
    from orchestrator.redaction import clean
    from orchestrator.settings import home

    try:
        folder = home() / "crashes"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = folder / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}.txt"
        file.touch(mode=0o600)
        file.write_text(clean(traceback.format_exc()), encoding="utf-8")
    except OSError as error:
        return f"the command that you ran (its details could not be written: {error.strerror})"
    return str(file)
