"""Verbs in a forked child, so that it can be killed at a fault point and costs no start of an interpreter."""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator import faults, opening
from orchestrator.bootstrap import Assembly, assemble
from orchestrator.errors import OrchestratorError
from orchestrator.lifecycle import Preview, State
from orchestrator.settings import load
from tests.acceptance.shop import Shop

Verb = Callable[[Assembly], Any]

#: After so long a verb hangs, and its child is ended.
LONGEST_SECONDS = 240


class Silent:
    def started(self, preview: Preview) -> None: ...
    def detail(self, text: str) -> None: ...
    def finished(self, preview: Preview, state: State, note: str, milliseconds: float) -> None: ...
    def failed(self, preview: Preview, state: State, message: str, milliseconds: float) -> None: ...


def start(shop: Shop, *verbs: Verb, fault: str = "", log: Path | None = None) -> int:
    """Fork a child that runs verbs on the shop, each assembled anew; returns its process id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        for name in [each for each in os.environ if each.startswith(("PREVIEW_", "NEON_", "PG"))]:
            del os.environ[name]
        os.environ.update({"PREVIEW_HOME": str(shop.home), **shop.environment})
        if fault:
            os.environ[faults.VARIABLE] = fault
        faults._order.cache_clear()
        faults._passed.clear()
        opening._opened.cache_clear()
        os.setsid()
        os.chdir(shop.folder)
        signal.alarm(LONGEST_SECONDS)
        with (log or Path(os.devnull)).open("w") as said:
            try:
                for verb in verbs:
                    with assemble(load(shop.folder / "preview.toml"), Silent()) as rooms:
                        verb(rooms)
                code = 0
            except OrchestratorError as error:
                said.write(f"{type(error).__name__}: {error.message}; {error.hint}; {error.detail}\n")
                code = 10 + error.exit_code
            except BaseException:  # noqa: BLE001 - the child must end here, whatever happened
                traceback.print_exc(file=said)
                code = 2
    finally:
        sys.stdout.flush()
        os._exit(code)


def ended(child: int) -> int:
    """Wait for a child; its exit code, negative for the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run(shop: Shop, *verbs: Verb, fault: str = "", log: Path | None = None) -> int:
    """Run verbs to their end; see `ended`."""
    return ended(start(shop, *verbs, fault=fault, log=log))


def must(shop: Shop, *verbs: Verb, log: Path) -> None:
    """Run verbs that have to succeed."""
    code = run(shop, *verbs, log=log)
    assert code == 0, f"{code}: {log.read_text()}"


KILLED = -signal.SIGKILL
