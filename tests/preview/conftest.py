"""What the preview tests run on: a Docker engine, a small image, both runtimes. Removes all that it made."""

import io
import os
import shutil
import socket
import tarfile
import textwrap
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
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


def image_archive(mark: str) -> bytes:
    """A root file system of one static busybox, as `docker import` takes it; the mark makes its layer unique."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        archive.add(BUSYBOX, "bin/busybox")
        for applet in ("sh", "httpd", "env", "nc", "sleep", "id", "cat"):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
        for name, text in {
            "healthz": "ok\n",
            "mark": mark,
            **{f"cgi-bin/{n}": t for n, t in CGI.items()},
        }.items():
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
    engine.api.import_image_from_data(image_archive(tag), repository=repository, tag=tag)
    image = engine.images.get(reference)
    (layer,) = image.attrs["RootFS"]["Layers"]
    yield Image(reference=reference, id=image.id)
    # Whatever was built on it goes too, also what has no name: failed builds leave steps behind.
    for made in engine.images.list(all=True):
        with suppress(Exception):  # removing a child may have removed its nameless parents
            if layer in made.attrs["RootFS"]["Layers"]:
                engine.images.remove(made.id, force=True)


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
    try:
        for directory in runtime.folder.glob("*/"):
            runtime.stop(directory.name)
    finally:
        # Whatever could not be stopped, or starts only now (a thread of a test that timed out), ends itself.
        shutil.rmtree(runtime.folder.parent, ignore_errors=True)


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
            health=HealthCheck(timeout_seconds=120),
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
            health=HealthCheck(timeout_seconds=120),
        ),
        shell=lambda script: ("/bin/sh", "-c", script),
    )


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def bench(request: pytest.FixtureRequest) -> Bench:
    """Each runtime in turn."""
    found: Bench = request.getfixturevalue(f"{request.param}_bench")
    return found


NO_BUILDKIT = b'{"message":"BuildKit is not supported by this engine"}'


class Relay:
    """A TCP passage to the engine's socket that can be closed, or refuse BuildKit as older engines do."""

    def __init__(self, *, without_buildkit: bool = False) -> None:
        self._without_buildkit = without_buildkit
        self._server = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.address = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def _accept(self) -> None:
        path = os.environ.get("DOCKER_TEST_SOCKET", "/var/run/docker.sock")
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                engine = socket.socket(socket.AF_UNIX)
                engine.connect(path)
                self._open += [client, engine]
                threading.Thread(target=self._pass, args=(client, engine, True), daemon=True).start()
                threading.Thread(target=self._pass, args=(engine, client, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, asking: bool) -> None:
        with suppress(OSError):
            while piece := source.recv(65536):
                first_line = piece.partition(b"\r\n")[0]
                if (
                    asking
                    and self._without_buildkit
                    and b"/build?" in first_line
                    and b"version=2" in first_line
                ):
                    head = (
                        b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\n"
                    )
                    # The body that still comes is read to its end, or the answer would be lost in a reset.
                    source.sendall(head + b"Content-Length: %d\r\n\r\n" % len(NO_BUILDKIT) + NO_BUILDKIT)
                    source.shutdown(socket.SHUT_WR)
                    while source.recv(65536):
                        pass
                    return
                target.sendall(piece)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Be gone: refuse new connections and cut the open ones."""
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._accepting.join()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


@pytest.fixture
def relay(engine: Any) -> Iterator[Callable[..., Relay]]:
    """Makes passages to the engine: `relay()`, or `relay(without_buildkit=True)`."""
    made: list[Relay] = []

    def make(**wishes: bool) -> Relay:
        made.append(Relay(**wishes))
        return made[-1]

    yield make
    for passage in made:
        passage.close()
