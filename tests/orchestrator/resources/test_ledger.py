"""What a preview has is found by its marks and derived names, and removed in an order that works; nothing else is."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import StepFailed
from orchestrator.lifecycle import Preview
from orchestrator.resources import Ledger, Thing
from orchestrator.schema.names import HELPER_PREFIX
from orchestrator.steps.launch import candidate_name, labels, task_name
from orchestrator.steps.project import (
    NeonProject,
    annotations,
    branch_name,
    scratch_name,
    trial_name,
    untouched_name,
    way_back_name,
)
from preview.errors import EngineUnreachable
from preview.process import ProcessRuntime
from preview.spec import CandidateSpec, HealthCheck

SERVES = """
import http.server, os
address = ("127.0.0.1", int(os.environ["PORT"]))
http.server.HTTPServer(address, http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def silent(_: str) -> None: ...


def everything_of(project: NeonProject, preview: Preview, runtime: ProcessRuntime, folder: Path) -> None:
    neon, main = project.neon, project.main.id
    own = neon.create_branch(
        project.id, name=branch_name(preview), parent_id=main, annotations=annotations(preview)
    ).branch.id
    below = {
        scratch_name(preview): own,
        way_back_name(branch_name(preview)): own,
        trial_name(preview, "new"): own,
    }
    for name, parent in {**below, untouched_name(preview): main}.items():
        neon.create_branch(project.id, name=name, parent_id=parent, with_compute=False)
    runtime.start(
        CandidateSpec(
            name=candidate_name(preview),
            image=None,
            port=8000,
            command=(sys.executable, "-c", SERVES),
            working_directory=folder,
            labels=labels(preview),
            health=HealthCheck(path="/"),
        )
    )
    (runtime.folder / task_name(preview)).mkdir()


def kinds(things: tuple[Thing, ...]) -> list[str]:
    return sorted({each.kind for each in things})


def test_all_that_a_preview_has_is_found_and_removed_and_a_neighbours_stays(
    ledger: Ledger,
    project: NeonProject,
    runtime: ProcessRuntime,
    a_preview: Callable[..., Preview],
    tmp_path: Path,
) -> None:
    preview, neighbour = a_preview(), a_preview("0123abce")
    everything_of(project, preview, runtime, tmp_path)
    project.neon.create_branch(project.id, name=branch_name(neighbour), parent_id=project.main.id)

    seen = ledger.of(preview)
    assert seen.unseen == ()
    assert kinds(seen.things) == [
        *("branch", "directory", "endpoint", "goal branch", "process", "role"),
        *("trial branch", "untouched branch", "way-back branch"),
    ]
    assert {each.owner for each in seen.things} == {preview.id}
    assert next(each for each in seen.things if each.kind == "process").store == "store-1"
    assert next(each for each in seen.things if each.kind == "branch").created_at is not None

    assert ledger.remove_all(preview, silent, forced=False) == ()
    assert ledger.of(preview).things == ()
    assert [each.name for each in ledger.all().things] == [branch_name(neighbour)]
    # Once more is fine: there is nothing.
    ledger.remove_all(preview, silent, forced=False)


def test_a_name_alone_is_not_trusted(
    ledger: Ledger, project: NeonProject, a_preview: Callable[..., Preview]
) -> None:
    preview = a_preview()
    somebody = project.neon.create_branch(project.id, name="dev", parent_id=project.main.id).branch
    taken = project.neon.create_branch(
        project.id, name=branch_name(preview), parent_id=somebody.id, with_compute=False
    ).branch

    with pytest.raises(StepFailed, match="is not a child of main"):
        ledger.remove_all(preview, silent, forced=True)
    assert project.neon.branch(project.id, taken.id).id == taken.id


def test_a_runtime_that_does_not_answer_is_given_up_only_by_force(
    ledger: Ledger, a_preview: Callable[..., Preview], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_engine(_: ProcessRuntime) -> None:
        raise EngineUnreachable("no engine answers")

    monkeypatch.setattr(ProcessRuntime, "belongings", no_engine)
    with pytest.raises(StepFailed, match="no engine answers") as caught:
        ledger.remove_all(a_preview(), silent, forced=False)
    assert "preview discard pr-1 --force" in caught.value.hint
    # Processes, folders, sidecars: all that a runtime of processes has.
    assert len(ledger.remove_all(a_preview(), silent, forced=True)) == 3
    assert {each.kind for each in ledger.of(a_preview()).unseen} == {"process", "directory", "sidecar"}


def test_helper_objects_of_a_stopped_promotion_are_found_in_main_and_taken_away(
    ledger: Ledger, project: NeonProject
) -> None:
    with project.connect_main("test") as main:
        main.execute("create table t (a integer)")
        main.execute(
            f'alter table t add constraint "{HELPER_PREFIX}0123456789ab" check (a is not null) not valid'
        )
    found = [each for each in ledger.all().things if each.kind == "helper object"]
    assert len(found) == 1
    ledger.remove(found[0])
    assert [each for each in ledger.all().things if each.kind == "helper object"] == []


def test_a_branch_of_somebody_under_such_a_name_is_no_restore_point(
    ledger: Ledger, project: NeonProject
) -> None:
    def made(name: str, **marks: str) -> None:
        project.neon.create_branch(
            project.id, name=name, parent_id=project.main.id, with_compute=False, annotations=marks
        )

    made("restore/before-monday")
    made("restore/pr-1-0123abcd-89abcdef")
    made("restore/pr-1-0123abcd-01234567", **{"preview-promotion": "01234567"})
    made("restore/pr-1-0123abcd-76543210-before")

    assert sorted(each.name for each in ledger.all().things) == [
        "restore/pr-1-0123abcd-01234567",
        "restore/pr-1-0123abcd-76543210-before",
    ]
