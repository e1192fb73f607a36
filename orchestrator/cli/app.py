"""The commands of `preview`, put together; errors become one clear line and an exit code here."""

import os
import sys
import traceback
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli import beginning, demo, planning, previews
from orchestrator.errors import OrchestratorError

app = typer.Typer(
    name="preview",
    help="Publish an app whose database changes, without fear: `preview up`, click, `preview promote` or "
    "`preview discard`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (beginning, planning, previews, demo):
    module.register(app)


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


def main() -> None:
    """Run `preview`; never shows a traceback to a user."""
    try:
        code = _run()
    except Exception as error:  # noqa: BLE001 - the last border: a fault of ours becomes a line and a file
        sys.stderr.write(f"error: unexpected {type(error).__name__}; this is a fault of preview\n")
        sys.stderr.write(f"next: report it with {_crash_file()}\n")
        code = 1
    sys.exit(code)


def _run() -> int:
    """Run the command; errors that we know become a message. Returns the exit code."""
    try:
        app()
    except OrchestratorError as error:
        from orchestrator.cli import render

        render.error(error)
        return error.exit_code
    except (KeyboardInterrupt, SystemExit) as end:
        # Typer ends with 130 on Ctrl-C; the interrupt itself reaches us only outside of a command.
        code = 130 if isinstance(end, KeyboardInterrupt) else int(end.code or 0)
        if code == 130:
            sys.stderr.write("\nstopped. Nothing is lost: run the same command again and it goes on,\n")
            sys.stderr.write("or `preview discard NAME` removes everything of that preview.\n")
        return code
    except BrokenPipeError:
        # Whoever read us has seen enough (`preview logs NAME | head`).
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - the interpreter flushes it at exit
    return 0


def _crash_file() -> str:
    """Write the traceback where only the user can read it; returns where."""
    from orchestrator.settings import home

    try:
        folder = home() / "crashes"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = folder / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}.txt"
        file.touch(mode=0o600)
        file.write_text(traceback.format_exc(), encoding="utf-8")
    except OSError as error:
        return f"the command that you ran (its details could not be written: {error.strerror})"
    return str(file)
