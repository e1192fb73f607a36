"""Whatever the code makes is in the ledger: the code is walked, and each place that makes a thing has its kind."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from orchestrator.resources import KINDS
from orchestrator.resources.machine import OfRuntime
from preview.belongings import What

ROOT = Path(__file__).resolve().parents[3]

#: What makes something on Neon that stays when we are gone.
NEON = {
    *("create_branch", "create_endpoint", "create_role", "create_snapshot", "create_database"),
    *("create_project", "restore_snapshot", "restore_branch"),
}
#: What makes something on a runtime, when a runtime is asked.
RUNTIME = {"start", "run", "build", "open_network"}
#: What makes something on a Docker engine.
ENGINE = {"containers": "container", "networks": "network", "volumes": "volume"}
#: What makes a folder.
FOLDER = {"mkdir", "makedirs", "mkdtemp", "copytree"}

#: Places that make things which are nobody's preview's, and why a sweep has no business with them.
NOT_OF_A_PREVIEW = {
    "orchestrator.projects:ensure_embedded": "the user's own project, asked for by `init`",
    "orchestrator.opening:_embedded_store_uri": "the diary itself",
    "orchestrator.steps.release:Releases._source": "a copy of what runs in production, kept for a revert",
    "orchestrator.gate.serving:_the_only_one": "the gateway's own files: one for all previews",
    "orchestrator.cli.stage:alone": "the demo's folder, removed by the demo",
    "orchestrator.cli.stage:Stage.__enter__": "the demo's folder, removed by the demo",
    "orchestrator.cli.stage:Stage._remove": "what went wrong in a demo, kept for the person who reports it",
    "orchestrator.jobs.contexts:Contexts.unpack": "the store's sources, shared by previews; go when unused",
    "orchestrator.cli.app:_crash_file": "a fault's traceback, kept for the person who reports it",
}

PACKAGES = ("neon_client", "neon_embedded", "orchestrator", "preview")
#: Files of the moment that have a name, which a kill leaves, and what becomes of them.
#: (`tempfile.TemporaryFile` has none: nothing is left of it, however we end.)
NAMED = {"mkdtemp", "mkstemp", "TemporaryDirectory", "NamedTemporaryFile", "gettempdir", "mktemp"}
FOR_A_MOMENT = {
    "orchestrator.jobs.contexts:Contexts.unpack": "`tidy` removes it in the next round of a worker",
    "neon_embedded.clone:shares_blocks": "on macOS only; the server's next start removes it",
    "neon_embedded.importing:_password_file": "where there is no /proc only, and then of mode 0600",
}
#: What starts a process.
STARTING = {"Popen", "run", "check_output", "check_call", "call", "fork", "posix_spawn", "spawnv", "system"}
ENDS = "ends by itself in a moment"
IMPORTS = "ends with what it reads or when nobody reads what it says; the project is found by its name"
#: Who starts a process, and what ends it when we are killed.
STARTS = {
    "neon_embedded.background:_start": "the embedded server, which is to live on; `neon-embedded stop` ends it",
    "neon_embedded.binaries:_look": ENDS,
    "neon_embedded.doors:_Relay.__init__": "ends with the last pair of sockets that it joins",
    "neon_embedded.importing:_copy": IMPORTS,
    "neon_embedded.importing:_of_file": ENDS,
    "neon_embedded.importing:_run_plain": IMPORTS,
    "neon_embedded.importing:_stream": IMPORTS,
    "neon_embedded.memory:_resident": ENDS,
    "neon_embedded.postmaster:Postmaster._run": ENDS,
    "neon_embedded.postmaster:Postmaster._spawn": "a compute, which is to live on; found by its directory",
    "neon_embedded.processes:_runs_in": ENDS,
    "neon_embedded.timelines:_dump": ENDS,
    "neon_embedded.timelines:_feed": ENDS,
    "orchestrator.cli.given:_tell_others": "tells whoever follows, and ends",
    "orchestrator.cli.stage:Stage._run": "a command of ours, which goes on to its end",
    "orchestrator.dashboard.pictures:_run": "by its lifeline",
    "orchestrator.postgres.dump:_installed": ENDS,
    "orchestrator.postgres.dump:_run": "ends when nobody reads what it says; waits for locks five seconds",
    "preview.caddy:Caddy._start": "production's gateway, which is to live on; found by its folder",
    "preview.edge:Edge.held": "the watchdog: it is there for that, and ends after its time",
    "preview.holding:main": "ends after the watchdog's time for it",
    "preview.lifeline:main": "the lifeline itself ends it",
    "preview.process:ProcessRuntime._launch": "the app, which is to live on: kind `process`",
    "preview.supervise:_detach": "the app's supervisor, which ends with it",
    "preview.supervise:_fork_app": "the app, which is to live on: kind `process`",
    "preview.supervise:birth": ENDS,
    "preview.task:run_process": "by its lifeline",
}


@cache
def makers(package: str) -> tuple[tuple[str, str, ast.Call], ...]:
    """``module:function``, the method's name and the call, of every call of a method in a package."""
    found = list[tuple[str, str, ast.Call]]()
    for file in sorted((ROOT / package).rglob("*.py")):
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        found += _calls(ast.parse(file.read_text(encoding="utf-8")), module, ())
    return tuple(found)


def _calls(node: ast.AST, module: str, inside: tuple[str, ...]) -> Iterator[tuple[str, str, ast.Call]]:
    for child in ast.iter_child_nodes(node):
        name = (child.name,) if isinstance(child, ast.ClassDef | ast.FunctionDef) else ()
        if isinstance(child, ast.Call) and isinstance(child.func, ast.Attribute):
            yield f"{module}:{'.'.join(inside[:2])}", child.func.attr, child
        yield from _calls(child, module, (*inside, *name))


def _makes_a_thing(name: str, call: ast.Call) -> bool:
    assert isinstance(call.func, ast.Attribute)
    receiver = ast.unparse(call.func.value)
    if name in NEON or name in FOLDER:
        return True
    return name in RUNTIME and bool(call.args) and receiver.split("(")[0].endswith("runtime")


def test_every_place_that_makes_something_is_a_kinds_or_says_why_not() -> None:
    registered = {place for kind in KINDS for place in kind.made_in}
    found = {place for place, name, call in makers("orchestrator") if _makes_a_thing(name, call)}

    unknown = sorted(found - registered - set(NOT_OF_A_PREVIEW))
    assert unknown == [], (
        f"{unknown} make something: name the place in `made_in` of its kind in orchestrator/resources, which finds "
        "and removes it"
    )


def test_no_kind_names_a_place_that_makes_nothing() -> None:
    found = {place for place, name, call in makers("orchestrator") if _makes_a_thing(name, call)}
    registered = {place for kind in KINDS for place in kind.made_in}
    assert sorted(registered - found) == []
    assert sorted(set(NOT_OF_A_PREVIEW) - found) == []


def test_every_sort_of_thing_of_a_runtime_has_its_kind() -> None:
    kinds = {kind.what for kind in KINDS if issubclass(kind, OfRuntime)}
    assert kinds == set(get_args(What))


def test_what_the_preview_package_makes_on_an_engine_is_a_sort_that_it_lists() -> None:
    made = {
        ENGINE[room]
        for _, name, call in makers("preview")
        for room in ENGINE
        if name == "create"
        and isinstance(call.func, ast.Attribute)
        and ast.unparse(call.func.value).endswith(room)
    }
    assert made <= set(get_args(What))
    assert {"container", "network"} <= made


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_kind_can_be_told_from_others_and_says_what_it_is_for(kind: type) -> None:
    assert kind.says
    assert [each.name for each in KINDS].count(kind.name) == 1
    assert not kind.__abstractmethods__


def test_what_is_made_for_a_moment_is_known_by_who_removes_it_after_a_kill() -> None:
    found = {
        place
        for package in PACKAGES
        for place, name, call in makers(package)
        if name in NAMED and ast.unparse(call.func.value) == "tempfile"  # type: ignore[attr-defined]
    }
    assert sorted(found) == sorted(FOR_A_MOMENT), (
        "a kill leaves it: use tempfile.TemporaryFile, or a folder that a kind in orchestrator/resources finds"
    )


def test_whoever_starts_a_process_says_what_ends_it_after_a_kill() -> None:
    found = {
        place
        for package in PACKAGES
        for place, name, call in makers(package)
        if name in STARTING and ast.unparse(call.func.value) in {"subprocess", "os"}  # type: ignore[attr-defined]
    }
    assert sorted(found) == sorted(STARTS), (
        "a kill leaves it: start it by preview/lifeline.py, or say what ends it"
    )
