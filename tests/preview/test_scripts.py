"""The scripts that bring a machine to an engine and a base image: kept things are kept, wishes are told."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / script, *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("script", ["scripts/docker-engine", "scripts/base-image", ".ci/run"])
def test_they_are_programs_without_syntax_errors(script):
    assert os.access(ROOT / script, os.X_OK)
    assert subprocess.run(["bash", "-n", ROOT / script], check=False).returncode == 0


@pytest.mark.parametrize("script", ["scripts/docker-engine", "scripts/base-image"])
def test_an_unknown_argument_is_named(script):
    ended = run(script, "--nonsense")
    assert ended.returncode == 1
    assert "--nonsense" in ended.stderr


@pytest.mark.docker
def test_an_engine_that_answers_is_kept(engine):
    ended = run("scripts/docker-engine")
    assert ended.returncode == 0, ended.stderr
    assert engine.version()["Version"] in ended.stderr


@pytest.mark.docker
def test_an_engine_elsewhere_that_does_not_answer_is_told(engine):
    for script in ("scripts/docker-engine", "scripts/base-image"):
        ended = run(script, DOCKER_HOST="tcp://127.0.0.1:1")
        assert ended.returncode == 1
        assert "DOCKER_HOST" in ended.stderr or "no Docker engine answers" in ended.stderr


@pytest.mark.docker
def test_the_base_image_is_kept_and_serves_other_users_than_root(engine):
    before = [image.id for image in engine.images.list(name="preview-base:python3")]
    if not before and os.environ.get("CI") != "true":
        pytest.skip("no base image; scripts/base-image makes it in a minute")
    ended = run("scripts/base-image")
    assert (ended.returncode, ended.stderr) == (0, "base-image: preview-base:python3 exists\n")
    assert [image.id for image in engine.images.list(name="preview-base:python3")] == before
    said = engine.containers.run(
        "preview-base:python3",
        [
            "python",
            "-c",
            "import http.server, psycopg, ssl; print(bool(ssl.create_default_context().get_ca_certs()))",
        ],
        user="65534",
        remove=True,
    )
    assert said == b"True\n"
