"""Where the demo plays: a folder and a $PREVIEW_HOME of its own, one at a time. Knows nothing of what is played."""

import fcntl
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import Busy, OrchestratorError, StepFailed

if TYPE_CHECKING:
    from rich.console import Console

NAME = "demo"
#: An image that this repository's scripts/base-image makes where no registry can be reached.
LOCAL_BASE = "preview-base:python3"


@contextmanager
def alone() -> Iterator[None]:
    """Hold the demo's lock, a file beside its folder, until the block or this process ends; children do not have it.

    Raises:
        Busy: a demo runs already; says whose.
        StepFailed: the file cannot be used.
    """
    from orchestrator.lifecycle.around import whoami
    from orchestrator.settings import home

    file = home() / "demo.lock"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = file.open("a+", encoding="utf-8")
    except OSError as error:
        raise StepFailed(f"{file} cannot be used: {error.strerror}", hint="set $PREVIEW_HOME") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.readline().strip() or "another process"
            raise Busy(
                f"a demo runs already in {home() / 'demo'}: {holder} holds {file}",
                hint="wait until it has ended, or give this one a $PREVIEW_HOME of its own",
            ) from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()} of {whoami()}, since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n")
        lock.flush()
        yield


class Stage:
    """A folder and a $PREVIEW_HOME of the demo's own; runs `preview` as a person would and prints what it runs."""

    def __init__(self, out: "Console", runtime: str) -> None:
        from orchestrator.settings import home

        self._out = out
        self.wanted_runtime = runtime
        self.home = home() / "demo"
        self.folder = self.home / "shop"
        self._left_up = False
        self._outer_home: str | None = None

    def __enter__(self) -> "Stage":
        if self.home.exists():
            self.say("an earlier demo was not finished: removing what it left")
            self._remove()
        self._outer_home = os.environ.get("PREVIEW_HOME")
        os.environ["PREVIEW_HOME"] = str(self.home)
        self.home.mkdir(parents=True)
        shutil.copytree(_shop(), self.folder, ignore=shutil.ignore_patterns("__pycache__"))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if self._left_up:
                return
            if kind is not None:
                self.say("the demo stopped early; removing what it made")
            self._remove()
        except OrchestratorError as error:
            if kind is None:
                raise
            # Why the demo stopped is the error to tell; this one comes before it.
            self.say(f"{error.message}\n{error.hint}")
        finally:
            if self._outer_home is None:
                os.environ.pop("PREVIEW_HOME", None)
            else:
                os.environ["PREVIEW_HOME"] = self._outer_home

    def _remove(self) -> None:
        """End everything of the demo and remove its folder; a preview that is left is discarded first.

        Raises:
            StepFailed: what the demo made could not be removed; the folder is kept, and with it the way to it.
        """
        settings = self.folder / "preview.toml"
        if settings.exists():
            try:
                for left in self.json("list"):
                    self._must(["discard", left["name"], "--force", "--quiet"])
            except StepFailed as error:
                raise StepFailed(
                    f"what the demo made could not be removed, so {self.home} is kept: {error.message}",
                    hint=f"mend what is said above, then `{self.by_hand('discard', NAME, '--force')}` "
                    "and `preview demo` again",
                ) from error
            # From here on there is no preview any more: whoever comes after a crash need not ask for one.
            settings.unlink()
        from neon_embedded import EmbeddedError, stop

        try:
            stop(self.home)
        except EmbeddedError as error:
            raise StepFailed(
                f"the demo's Neon server did not stop, so {self.home} is kept: {error.message}",
                hint=error.hint or "run `preview demo` again",
            ) from error
        crashes = self.home / "crashes"
        try:
            if crashes.exists():
                kept = shutil.copytree(crashes, self.home.parent / "crashes", dirs_exist_ok=True)
                self.say(f"what went wrong inside is kept in {kept}")
            shutil.rmtree(self.home)
        except OSError as error:
            raise StepFailed(
                f"{self.home} could not be removed: {error.strerror or error}",
                hint="nothing of the demo runs any more; delete the folder",
            ) from error

    def by_hand(self, *words: str) -> str:
        """The command line of a `preview` command on the demo's folder, for a person."""
        where = f"PREVIEW_HOME={shlex.quote(str(self.home))} preview -C {shlex.quote(str(self.folder))}"
        return f"{where} {shlex.join(words)}".rstrip()

    def leave_up(self, url: str) -> None:
        """Keep the preview running and say how to go on."""
        self._left_up = True
        self.heading("left up, as you asked")
        self.say(f"click {url}, then:")
        self.say(f"  {self.by_hand('promote', NAME, '--allow', 'deletes_data:public.customers.fax')}")
        self.say("and at the end `preview demo` again, or (the first, when it was not promoted):")
        home = shlex.quote(str(self.home))
        self.say(f"  {self.by_hand('discard', NAME)}")
        self.say(f"  neon-embedded stop --home {home} && rm -r {home}")

    def say(self, text: str) -> None:
        """A line for the reader."""
        self._out.print(text, markup=False)

    def heading(self, text: str) -> None:
        """The next part."""
        self._out.print(f"\n[bold]== {text}[/]")

    def preview(self, *words: str, expect: Iterable[int] = (0,), quiet_result: bool = False) -> str:
        """Run a `preview` command, printed first; returns its standard output.

        Raises:
            StepFailed: its exit code is not expected.
        """
        self.say("$ preview " + " ".join(shlex.quote(word) for word in words))
        done = self._run(list(words), capture=True)
        if done.stdout and not quiet_result:
            self.say(done.stdout.rstrip("\n"))
        if done.returncode not in expect:
            raise StepFailed(
                f"`preview {words[0]}` ended with exit code {done.returncode}",
                hint="its message is above; `preview doctor` looks at this machine",
            )
        return done.stdout

    def json(self, *words: str) -> Any:
        """The value of a `preview` command with --json, without printing it.

        Raises:
            StepFailed: it failed.
        """
        return json.loads(self._must([*words, "--json"]))

    def value(self, sql: str, *where: str) -> str:
        """One value by `preview psql`, without printing the command."""
        script = self.home / "query.sql"
        script.write_text(f"\\pset tuples_only\n\\pset format unaligned\n{sql};\n", encoding="utf-8")
        return self._must(["psql", *where, "--file", str(script)]).strip()

    def _must(self, words: list[str]) -> str:
        """Run a `preview` command that has to succeed; its message is on standard error. Returns its output."""
        done = self._run(words, capture=True)
        if done.returncode != 0:
            raise StepFailed(
                f"`preview {words[0]}` ended with exit code {done.returncode}",
                hint="its message is above; `preview doctor` looks at this machine",
            )
        return done.stdout

    def interactive(self) -> bool:
        """Whether a person can be asked."""
        return sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()

    def _run(self, words: list[str], *, capture: bool) -> subprocess.CompletedProcess[str]:
        # A team's server and its store are none of the demo's business.
        environment = {
            **os.environ,
            "PREVIEW_HOME": str(self.home),
            "PREVIEW_STORE_URL": "",
            "PREVIEW_SERVER": "",
        }
        sys.stdout.flush()
        return subprocess.run(
            [sys.executable, "-m", "orchestrator", *words],
            cwd=self.folder,
            env=environment,
            text=True,
            stdout=subprocess.PIPE if capture else None,
            check=False,
        )

    def write_settings(self) -> str:
        """Complete preview.toml for the shop; returns the runtime's kind."""
        from orchestrator import opening
        from preview import PreviewError

        runtime = opening.runtime(self.wanted_runtime)
        if reason := runtime.available():
            raise StepFailed(
                f"the {runtime.kind} runtime cannot be used: {reason}", hint="try --runtime process"
            )
        file = self.folder / "preview.toml"
        text = file.read_text(encoding="utf-8")
        text += 'command = ["python3", "app.py"]\n'
        if runtime.kind == "docker":
            try:
                runtime.image(LOCAL_BASE)
            except PreviewError:
                pass  # the Dockerfile's own base, from a registry
            else:
                text += f'build_args = {{ BASE = "{LOCAL_BASE}" }}\n'
        text += f'\n[runtime]\nkind = "{runtime.kind}"\n'
        file.write_text(text, encoding="utf-8")
        return runtime.kind


def _shop() -> Path:
    """The example's folder: in the wheel as package data, in a checkout beside the packages."""
    package = Path(str(files("orchestrator")))
    for folder in (package / "demo_shop", package.parent / "examples" / "shop"):
        if (folder / "seed.sql").is_file():
            return folder
    raise OrchestratorError("the example shop is not installed", hint="run `preview demo` in a checkout")
