"""What the preview tests run on: a Docker engine, a small image, both runtimes. Removes all that it made."""

import io
import os
import tarfile
import textwrap
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from preview import CandidateSpec, HealthCheck, Image, Runtime
from preview.docker import DockerRuntime
from preview.process import ProcessRuntime

BUSYBOX = Path("/bin/busybox")

# Runs in every container: httpd serves /www; its CGI scripts tell about the container and look around from inside.
CGI = {
    "env": '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n"\nenv\n',
    "sick": '#!/bin/sh\nprintf "Status: 503 Service Unavailable\\r\\n\\r\\n"\n',
    "reach": "#!/bin/sh\n"
    'printf "Content-Type: text/plain\\r\\n\\r\\n"\n'
    "nc -w 2 ${QUERY_STRING%:*} ${QUERY_STRING#*:} </dev/null\n"
    'echo "nc ended with $?"\n',
}

PYTHON_APP = textwrap.dedent(
    """
    import http.server, os, sys
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(503 if "sick" in self.path else 200)
            self.end_headers()
            self.wfile.write("\\n".join(f"{k}={v}" for k, v in os.environ.items()).encode())
        def log_message(self, *args):
            pass
    http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
    """
)


def image_archive() -> bytes:
    """A root file system of one static busybox, as `docker import` takes it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        archive.add(BUSYBOX, "bin/busybox")
        for applet in ("sh", "httpd", "env", "nc", "sleep", "id", "cat"):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
        for name, text in {"healthz": "ok\n", **{f"cgi-bin/{n}": t for n, t in CGI.items()}}.items():
            file = tarfile.TarInfo(f"www/{name}")
            file.size, file.mode = len(text), 0o755
            archive.addfile(file, io.BytesIO(text.encode()))
    return buffer.getvalue()


@pytest.fixture(scope="session")
def engine() -> Any:
    """A client of the engine, for looking behind the runtime's back."""
    reason = DockerRuntime().available()
    if reason is not None or not BUSYBOX.exists():
        reason = reason or "there is no /bin/busybox; apt-get install busybox-static"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    import docker

    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture(scope="session")
def busybox(engine: Any) -> Iterator[Image]:
    """A 2 MB image that serves HTTP."""
    reference = f"preview-test-busybox:{uuid.uuid4().hex[:8]}"
    repository, _, tag = reference.partition(":")
    engine.api.import_image_from_data(image_archive(), repository=repository, tag=tag)
    yield Image(reference=reference, id=engine.images.get(reference).id)
    engine.images.remove(reference, force=True)


@pytest.fixture
def docker_runtime(engine: Any) -> Iterator[DockerRuntime]:
    """A Docker runtime with a network of its own; every container on that network is removed afterwards."""
    runtime = DockerRuntime(network=f"preview-test-{uuid.uuid4().hex[:8]}")
    yield runtime
    for network in engine.networks.list(names=[runtime.network]):
        for container in engine.containers.list(all=True, filters={"network": network.id}):
            container.remove(force=True, v=True)
        network.remove()


@pytest.fixture
def process_runtime(tmp_path: Path) -> Iterator[ProcessRuntime]:
    """A process runtime with a home of its own; what still runs in it is stopped afterwards."""
    runtime = ProcessRuntime(home=tmp_path / "home")
    yield runtime
    for directory in runtime.folder.glob("*/"):
        runtime.stop(directory.name)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """One runtime with an app for it, so that one test speaks to both runtimes."""

    runtime: Runtime
    serving: CandidateSpec
    shell: Callable[[str], tuple[str, ...]]
    made: list[str] = field(default_factory=list)

    def spec(self, **changes: Any) -> CandidateSpec:
        return replace(self.serving, **changes)

    def saying(self, script: str, **changes: Any) -> CandidateSpec:
        """A candidate that runs this shell script instead of serving."""
        return self.spec(command=self.shell(script), **changes)

    def sick(self) -> str:
        return "/cgi-bin/sick" if self.runtime.kind == "docker" else "/sick"

    def environment_of(self, body: str) -> Mapping[str, str]:
        return dict(line.split("=", 1) for line in body.splitlines() if "=" in line)

    def environment_path(self) -> str:
        return "/cgi-bin/env" if self.runtime.kind == "docker" else "/"


def unique(kind: str) -> str:
    return f"preview-test-{kind}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def docker_bench(docker_runtime: DockerRuntime, busybox: Image) -> Bench:
    return Bench(
        runtime=docker_runtime,
        serving=CandidateSpec(
            name=unique("docker"),
            image=busybox,
            port=8000,
            command=("/bin/httpd", "-f", "-p", "{port}", "-h", "/www"),
            environment={"DATABASE_URL": "postgresql://app:pass-word@db/shop"},
            health=HealthCheck(timeout_seconds=30),
        ),
        shell=lambda script: ("/bin/sh", "-c", script),
    )


@pytest.fixture
def process_bench(process_runtime: ProcessRuntime, tmp_path: Path) -> Bench:
    app = tmp_path / "app"
    app.mkdir()
    (app / "app.py").write_text(PYTHON_APP)
    return Bench(
        runtime=process_runtime,
        serving=CandidateSpec(
            name=unique("process"),
            port=8000,
            command=("python", "app.py"),
            working_directory=app,
            environment={"DATABASE_URL": "postgresql://app:pass-word@db/shop"},
            health=HealthCheck(timeout_seconds=30),
        ),
        shell=lambda script: ("/bin/sh", "-c", script),
    )


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def bench(request: pytest.FixtureRequest) -> Bench:
    """Each runtime in turn."""
    found: Bench = request.getfixturevalue(f"{request.param}_bench")
    return found
