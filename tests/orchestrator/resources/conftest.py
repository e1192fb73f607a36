"""A project on the run's embedded Neon, a process runtime of its own, and the ledger over both."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from neon_client import NeonClient
from neon_embedded import Running
from orchestrator.lifecycle import Preview, State, Wanted
from orchestrator.resources import Ledger, World
from orchestrator.steps.project import NeonProject
from preview.process import ProcessRuntime
from preview.runtime import Runtime


@pytest.fixture
def project(embedded: Running) -> Iterator[NeonProject]:
    with NeonClient(api_key=embedded.api_key, base_url=embedded.base_url) as neon:
        made = neon.create_project(name="ledger", database_name="shop", role_name="shop_owner").project
        yield NeonProject(neon=neon, id=made.id, key=f"embedded/{made.id}", database="shop")
        neon.delete_project(made.id)


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[ProcessRuntime]:
    made = ProcessRuntime(home=tmp_path)
    yield made
    for each in made.belongings():
        made.remove_belonging(each)


@pytest.fixture
def world(project: NeonProject, runtime: ProcessRuntime, tmp_path: Path) -> World:
    def open_runtime(kind: str) -> Runtime:
        return runtime

    return World(project=project, open_runtime=open_runtime, home=tmp_path)


@pytest.fixture
def ledger(world: World) -> Ledger:
    return Ledger(world)


@pytest.fixture
def a_preview(project: NeonProject) -> Callable[..., Preview]:
    def make(preview_id: str = "0123abcd", name: str = "pr-1", **facts: Any) -> Preview:
        now = datetime.now(UTC)
        return Preview(
            id=preview_id,
            name=name,
            project=project.key,
            wanted=Wanted.READY,
            state=State.READY,
            facts={"runtime": "process", "store": "store-1", **facts},
            error=None,
            created_by="ada@test",
            created_at=now,
            updated_at=now,
            expires_at=None,
        )

    return make
