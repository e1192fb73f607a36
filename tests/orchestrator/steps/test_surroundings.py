"""What stands around an app: services in the order of their health, none of which knows production."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import Refused, StepFailed
from orchestrator.lifecycle import Preview, State, Wanted
from orchestrator.settings import Settings
from orchestrator.steps import surroundings
from orchestrator.steps.safety import refuse_production, scan
from orchestrator.steps.surroundings import Surroundings, service_name
from preview.process import ProcessRuntime

LISTENS = "import os, socket, time; s = socket.create_server(('127.0.0.1', int(os.environ['PORT']))); time.sleep(600)"
SLEEPS = "import time; time.sleep(600)"


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[ProcessRuntime]:
    made = ProcessRuntime(home=tmp_path / "home")
    yield made
    for folder in made.folder.glob("*/"):
        made.stop(folder.name)


@pytest.fixture
def preview() -> Preview:
    now = datetime.now(UTC)
    return Preview(
        id="0123abcd", name="pr-1", project="embedded/p-1", state=State.LAUNCHING, wanted=Wanted.READY, facts={},
        error=None, created_by="ada", created_at=now, updated_at=now, expires_at=None,
    )  # fmt: skip


def around(runtime: ProcessRuntime, folder: Path, services: dict[str, Any]) -> Surroundings:
    settings = Settings.model_validate(
        {
            "project": {"id": "p-1", "database": "shop"},
            "goal": {"branch": "development"},
            "services": services,
            "directory": folder,
        }
    )
    return Surroundings(settings, lambda _kind: runtime, folder)


def service(program: str, **more: Any) -> dict[str, Any]:
    return {"command": ["python", "-c", program], **more}


def refuse(environment: Mapping[str, str]) -> None:
    refuse_production(scan(environment, ["db.shop.example"]))


def states(runtime: ProcessRuntime, preview: Preview, *names: str) -> list[str | None]:
    found = [runtime.observe(service_name(preview, name)) for name in names]
    return [each.state if each else None for each in found]


def test_a_service_that_is_not_healthy_stops_those_that_wait_for_it(
    runtime: ProcessRuntime, preview: Preview, tmp_path: Path
) -> None:
    services = {
        "last": service(SLEEPS, depends_on=["deaf"]),
        "deaf": service(SLEEPS, port=7001, health_timeout_seconds=0.3, depends_on=["first"]),
        "first": service(LISTENS, port=7000),
    }
    room = around(runtime, tmp_path, services)
    said: list[str] = []
    with pytest.raises(StepFailed, match="svc-deaf was not healthy within"):
        room.start_services(preview, runtime, None, {}, refuse, said.append)
    assert said == ["starting service first", "starting service deaf"]
    assert states(runtime, preview, "first", "last") == ["running", None]
    room.stop_services(preview, runtime)
    assert states(runtime, preview, "first", "deaf", "last") == [None, None, None]


def test_a_service_that_knows_a_way_to_production_starts_nothing(
    runtime: ProcessRuntime, preview: Preview, tmp_path: Path
) -> None:
    services = {
        "first": service(SLEEPS),
        "worker": service(SLEEPS, env={"LEGACY": "postgres://u:secret@db.shop.example/shop"}),
    }
    room = around(runtime, tmp_path, services)
    with pytest.raises(Refused, match="service worker: LEGACY: the preview's environment names") as refused:
        room.start_services(preview, runtime, None, {}, refuse, lambda _text: None)
    assert "secret" not in refused.value.message + refused.value.hint
    assert states(runtime, preview, "first", "worker") == [None, None]


def test_what_a_closed_network_does_not_hold_is_in_the_report(
    runtime: ProcessRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "can_close", lambda: None)
    room = around(runtime, tmp_path, {})
    for ports, said in (
        ((), "closed: the app reaches its branch's server only"),
        ((22, 9100), "all its addresses (port 22, 9100), unless its firewall forbids that"),
        (tuple(range(1, 12)), "(port 1, 2, 3, 4, 5, 6, 7, 8, ...)"),
    ):
        monkeypatch.setattr(surroundings, "ports_on_every_address", lambda ports=ports: ports)
        assert said in room.finding(runtime).message
