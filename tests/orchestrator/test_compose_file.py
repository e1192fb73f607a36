"""A compose file becomes settings, or is refused by name."""

from pathlib import Path

import pytest

from orchestrator.compose_file import read_compose
from orchestrator.errors import SettingsError
from orchestrator.settings import load

WHOLE = """
name: shop
services:
  web:
    build: {context: ./web, dockerfile: Dockerfile.prod, target: run, args: [A=1, B=two]}
    command: python3 app.py --port 8080
    environment:
      CACHE: cache:6379
      DEBUG: false
      PRICE: $$5
    ports: ["127.0.0.1:80:8080"]
    depends_on: {cache: {condition: service_healthy}, worker: {condition: service_started}}
    restart: unless-stopped
    healthcheck: {test: [CMD, true]}
    x-own: kept
  worker:
    command: [python3, worker.py]
    environment: [MODE=slow]
    depends_on: [cache, db]
  cache:
    image: redis:7
    expose: [6379]
    mem_limit: 256m
    cpus: 0.5
  db:
    image: postgres:16
    volumes: [data:/var/lib/postgresql/data]
  unrelated:
    volumes: [x]
volumes: {data: {}}
"""


def test_the_marked_service_is_the_app_and_what_it_needs_its_services(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(WHOLE)
    assert read_compose(file, "web", ["db"]) == {
        "app": {
            "env": {"CACHE": "cache:6379", "DEBUG": "false", "PRICE": "$5"},
            "context": "./web",
            "dockerfile": "Dockerfile.prod",
            "target": "run",
            "build_args": {"A": "1", "B": "two"},
            "container_command": ["python3", "app.py", "--port", "8080"],
            "port": 8080,
        },
        "services": {
            "worker": {"env": {"MODE": "slow"}, "depends_on": ["cache"], "command": ["python3", "worker.py"]},
            "cache": {
                "env": {},
                "depends_on": [],
                "image": "redis:7",
                "port": 6379,
                "memory": "256m",
                "cpus": 0.5,
            },
        },
    }


@pytest.mark.parametrize(
    ("said", "refusal"),
    [
        ("", "has no services"),
        ("services: [web", "line 1 is not YAML"),
        ("services: {web: {image: x, volumes: [a]}}", "service web: `volumes` is not supported"),
        ("services: {web: {image: x, privileged: true}}", "service web: `privileged` is not supported"),
        ("services: {web: {image: 'x:${TAG}'}}", "service web: `image` has a variable in it"),
        (
            "services: {web: {build: {context: ., ssh: [default]}}}",
            r"service web: `build\.ssh` is not supported",
        ),
        ("services: {web: {image: x, environment: [SECRET]}}", "passes on SECRET from the environment"),
        ("services: {web: {image: x, ports: ['8000-8010']}}", "the port '8000-8010' is not supported"),
        ("services: {web: {image: x, depends_on: [gone]}}", "depends on 'gone', which is no service"),
        ("services: {web: {depends_on: [w]}, w: {build: .}}", "service w: only the app itself is built"),
        ("services: {other: {image: x}}", "has no service 'web'"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(tmp_path: Path, said: str, refusal: str) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(said)
    with pytest.raises(SettingsError, match=refusal):
        read_compose(file, "web")


def test_preview_toml_is_stronger(tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "compose.yaml").write_text(WHOLE)
    (tmp_path / "preview.toml").write_text(
        """
        [project]
        name = "p"
        database = "d"
        [goal]
        branch = "development"
        [app]
        compose = "deploy/compose.yaml"
        service = "web"
        compose_without = ["db"]
        port = 9000
        env = { DEBUG = "true" }
        [services.cache]
        image = "valkey:8"
        port = 6379
        """
    )
    settings = load(tmp_path / "preview.toml")
    assert settings.app.port == 9000
    assert settings.app.context == "deploy/web"
    assert settings.app.env == {"CACHE": "cache:6379", "DEBUG": "true", "PRICE": "$5"}
    assert list(settings.services) == ["cache", "worker"]
    assert settings.services["cache"].image == "valkey:8"


@pytest.mark.parametrize(
    ("services", "refusal"),
    [
        ('[services.a]\ndepends_on = ["b"]\n[services.b]\ndepends_on = ["a"]', "wait for each other: a, b"),
        ('[services.a]\ndepends_on = ["x"]', "a depends on 'x', which is no service"),
        ('[services.App]\nimage = "x"', "'App' cannot be a service's name"),
        ('[services.app]\nimage = "x"', "'app' cannot be a service's name"),
        ('[services.a]\nhealth = "/"', "`health` needs a `port`"),
    ],
)
def test_services_that_cannot_be_started_are_refused(tmp_path: Path, services: str, refusal: str) -> None:
    (tmp_path / "preview.toml").write_text(
        f'[project]\nname = "p"\ndatabase = "d"\n[goal]\nbranch = "b"\n{services}\n'
    )
    with pytest.raises(SettingsError, match=refusal):
        load(tmp_path / "preview.toml")
