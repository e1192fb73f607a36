"""The generators that are held beside ours: how each is installed into a directory of its own, and asked."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

#: A plan of this much is there in seconds; who needs longer has lost.
PATIENCE_SECONDS = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator:
    """A program that compares two databases.

    Attributes:
        name: for the table, with its version where we chose one.
        command: argv from the URLs of both databases and a file that it may write.
        accepted: the exit statuses that mean success.
    """

    name: str
    command: Callable[[str, str, Path], Sequence[str]]
    accepted: tuple[int, ...] = (0,)


def ours() -> Generator:
    """The bare generator of this working copy."""
    program = Path(sys.executable).with_name("preview")
    return Generator(
        name="preview",
        command=lambda base, goal, _: [
            str(program),
            "plan",
            "--from",
            base,
            "--to",
            goal,
            "--sql",
            "--no-questions",
        ],
    )


def installed(directory: Path) -> tuple[list[Generator], list[str]]:
    """Install every peer that can be installed below a directory (what is there already stays), and name the rest."""
    found: list[Generator] = []
    absent: list[str] = []
    for name, install in (
        ("pg-delta", _pgdelta),
        ("@pgkit/migra", _pgkit),
        ("pgmig", _pgmig),
        ("migra", _migra),
    ):
        try:
            found.append(install(directory))
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", None) or str(error)
            absent.append(
                f"{name}: {said.strip().splitlines()[-1] if said.strip() else 'cannot be installed'}"
            )
    return found, absent


def _pgdelta(directory: Path) -> Generator:
    program = _npm(directory / "pg-delta", "@supabase/pg-delta@1.0.0-alpha.34", "pgdelta")
    return Generator(
        name="pg-delta alpha.34",
        command=lambda base, goal, out: [
            program, "plan", "--source", base, "--desired", goal, "--renames", "off", "--out", str(out),
        ],
    )  # fmt: skip


def _pgkit(directory: Path) -> Generator:
    program = _npm(directory / "pgkit", "@pgkit/migra@0.6.1", "migra")
    return Generator(
        name="@pgkit/migra 0.6",
        command=lambda base, goal, _: [program, "run", base, goal, "--unsafe"],
        accepted=(0, 2),
    )


def _pgmig(directory: Path) -> Generator:
    program = _pip(directory / "pgmig", ["pgmig==1.1.0"], "pgmig")
    return Generator(
        name="pgmig 1.1",
        command=lambda base, goal, _: [program, "generate", "--source", base, "--target", goal],
    )


def _migra(directory: Path) -> Generator:
    # Its last release knows SQLAlchemy before 2.1 and pkg_resources, which newer setuptools no longer bring.
    needed = ["migra==3.0.1663481299", "sqlalchemy<2.1", "psycopg2-binary", "setuptools<81"]
    program = _pip(directory / "migra", needed, "migra")
    return Generator(
        name="migra 3.0", command=lambda base, goal, _: [program, "--unsafe", base, goal], accepted=(0, 2)
    )


def _npm(directory: Path, package: str, program: str) -> str:
    found = directory / "node_modules" / ".bin" / program
    if not found.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise FileNotFoundError("npm is not installed")
        _run([npm, "install", "--silent", "--prefix", str(directory), package])
    return str(found)


def _pip(directory: Path, packages: Sequence[str], program: str) -> str:
    found = directory / "bin" / program
    if not found.exists():
        _run([sys.executable, "-m", "venv", str(directory)])
        _run([str(directory / "bin" / "python"), "-m", "pip", "install", "--quiet", *packages])
    return str(found)


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
