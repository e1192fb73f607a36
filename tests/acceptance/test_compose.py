"""compose/ as it is, started for real: an image from this tree, and Neon's API on this machine in Neon's place.

No registry is asked: the base is preview-base:python3, PostgreSQL and Python's packages come from Debian and PyPI.
"""

import os
import shutil
import socket
import ssl
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import httpx
import pytest

from neon_client import NeonClient
from neon_embedded import Running, ensure_running, stop
from preview.docker import DockerRuntime
from preview.ports import free_ports
from preview.private_network import ensure_private
from preview.spec import Private
from tests.acceptance.shop import Shop
from tests.acceptance.small import GOAL, make_small

pytestmark = [pytest.mark.docker, pytest.mark.prove, pytest.mark.timeout(1800)]

REPOSITORY = Path(__file__).parents[2]
MADE_FROM = Path(__file__).parent / "compose"
#: What goes into the image, and compose/ itself.
SENT = (
    *("compose", "pyproject.toml", "README.md", "neon_client", "neon_embedded", "preview", "orchestrator"),
    "examples/shop",
)
DOMAIN = "preview.example.com"
SECONDS = 180.0


def run(*command: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    done = subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def until(what: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.3)


def compose() -> tuple[str, ...]:
    """The plugin where there is one, else the program of Debian 12, which reads the same file."""
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True)
    if plugin.returncode == 0:
        return ("docker", "compose")
    if shutil.which("docker-compose"):
        return ("docker-compose",)
    pytest.skip("neither `docker compose` nor `docker-compose` is here: apt-get install docker-compose")


@dataclass(frozen=True, kw_only=True)
class Team:
    """What was started, and the ways to it."""

    folder: Path
    environment: dict[str, str]
    words: tuple[str, ...]
    gateway: int
    tls: ssl.SSLContext

    def __call__(self, *words: str) -> str:
        return run(*self.words, *words, env=self.environment, cwd=self.folder)

    def get(self, host: str, path: str = "/", **headers: str) -> httpx.Response:
        """As `curl --resolve HOST:PORT:127.0.0.1 https://HOST:PORT/` asks, and Caddy's own authority is trusted."""
        transport = httpx.HTTPTransport(verify=self.tls)
        with httpx.Client(transport=transport, timeout=60) as client:
            return client.get(
                f"https://127.0.0.1:{self.gateway}{path}",
                headers={"Host": f"{host}:{self.gateway}", **headers},
                extensions={"sni_hostname": host},
            )

    def answers(self, host: str, path: str, status: int, **headers: str) -> bool:
        try:
            return self.get(host, path, **headers).status_code == status
        except httpx.TransportError:
            return False


@pytest.fixture
def neon(enterable: Path) -> Iterator[Running]:
    home = enterable / "compose-neon"
    yield ensure_running(home)
    stop(home)


@pytest.fixture
def small(neon: Running, enterable: Path) -> Iterator[Shop]:
    with NeonClient(api_key=neon.api_key, base_url=neon.base_url) as client:
        shop = make_small(neon.home, client, enterable / "app", "compose", "docker")
        made = client.create_branch(
            shop.project_id, name="development", parent_id=client.default_branch(shop.project_id).id
        )
        uri = client.connection_uri(
            shop.project_id, branch_id=made.branch.id, database="shop", role="shop_owner"
        )
        shop.on(uri.reveal(), f"drop table notes; {GOAL}")
        yield shop


@pytest.fixture
def team(neon: Running, small: Shop, enterable: Path) -> Iterator[Team]:
    root, mark = enterable / "team", uuid.uuid4().hex[:8]
    root.mkdir()
    names = subprocess.run(
        ["git", "ls-files", *SENT], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.split()
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, root / name)
    bases = root / "bases"
    shutil.copytree(MADE_FROM, bases)
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", bases)
    base, store = f"preview-test-compose-base:{mark}", f"preview-test-compose-store:{mark}"
    gateway, gate = (next(free_ports(f"compose-{what}-{mark}")) for what in ("gateway", "gate"))
    settings = (root / "compose" / "preview.toml").read_text()
    settings = settings.replace('neon = "neon"', f'neon = "{neon.base_url}"')
    settings = settings.replace('name = "shop"\n', 'name = "compose"\n').replace(
        'health = "/healthz"', 'health = "/"'
    )
    assert f'domain = "{DOMAIN}"' in settings
    settings += f'port = {gateway}\ngate = "127.0.0.1:{gate}"\ntls = "internal"\n'
    (root / "compose" / "preview.toml").write_text(settings)
    override = {
        "store": f"    image: {store}\n",
        **dict.fromkeys(
            ("server", "worker", "gate", "gateway", "firewall"), f"    image: preview-test-compose:{mark}\n"
        ),
    }
    build = f"    build:\n      args:\n        BASE: {base}\n"
    text = "services:\n" + "".join(
        f"  {name}:\n{what}{build if name in ('server', 'worker', 'gate') else ''}"
        for name, what in override.items()
    )
    (root / "compose" / "here.yaml").write_text(text)
    environment = {
        **os.environ,
        "NEON_API_KEY": neon.api_key.reveal(),
        "STORE_PASSWORD": uuid.uuid4().hex,
        "STORE_PORT": str(next(free_ports(f"compose-store-{mark}"))),
        "COMPOSE_PROJECT_NAME": f"compose{mark}",
    }
    words = (*compose(), "-f", "compose/compose.yaml", "-f", "compose/here.yaml")
    made = Team(
        folder=root, environment=environment, words=words, gateway=gateway, tls=ssl.create_default_context()
    )
    try:
        run("docker", "build", "--tag", base, "--file", str(bases / "base.Dockerfile"), str(bases))
        run("docker", "build", "--tag", store, "--file", str(bases / "store.Dockerfile"), str(bases))
        made("build", "server")
        made("up", "--detach")
        yield made
    finally:
        print(subprocess.run([*words, "logs", "--no-color", "--tail=80"], cwd=root, env=environment,
                             capture_output=True, text=True).stdout)  # fmt: skip
        subprocess.run([*words, "down", "--volumes", "--timeout", "20"], cwd=root, env=environment)
        for image in (f"preview-test-compose:{mark}", base, store):
            subprocess.run(["docker", "image", "rm", "--force", image], capture_output=True)


def test_a_team_is_served_and_restarts_cut_nothing_that_they_need_not(team: Team, small: Shop) -> None:
    root = "/data/caddy/pki/authorities/local/root.crt"
    server = "http://127.0.0.1:8600"
    until("the server", lambda: _up(f"{server}/readyz"))
    token = team(
        "exec", "-T", "server", "preview", "token", "create", "--local", "--role", "admin", "ada"
    ).split()[0]
    until("the gateway", lambda: _up(f"https://127.0.0.1:{team.gateway}", refused=False))
    # Caddy makes its authority with the first certificate that somebody asks for.
    team.tls.check_hostname, team.tls.verify_mode = False, ssl.CERT_NONE
    until("a certificate", lambda: team.answers(DOMAIN, "/healthz", 200))
    authority = team("exec", "-T", "gateway", "cat", root)
    team.tls.load_verify_locations(cadata=authority)
    team.tls.verify_mode, team.tls.check_hostname = ssl.CERT_REQUIRED, True

    # https://preview.example.com itself is the server: its pages ask who comes.
    login = team.get(DOMAIN, "/login")
    assert login.status_code == 200
    assert "password" in login.text

    # A developer's machine has a token and no key of Neon's.
    client = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("NEON_", "PREVIEW_"))},
        "PREVIEW_SERVER": server,
        "PREVIEW_TOKEN": token,
        "PREVIEW_HOME": str(small.home),
    }
    name = team.environment["COMPOSE_PROJECT_NAME"]  # nobody else's preview on this engine is called so
    url = run(*small.command("up", name), env=client, cwd=small.folder).strip()
    host = f"{name}.{DOMAIN}"
    assert url == f"https://{host}:{team.gateway}"
    assert team.get(host, "/").status_code == 401
    seen = team.get(host, "/", **{"X-Preview-Token": token})
    assert (seen.status_code, seen.text) == (200, "ok")
    assert not team.answers(f"nobody.{DOMAIN}", "/", 200)  # no certificate for a name that nobody has

    # What this machine serves on all its addresses is not for the preview, nor for one whose network is open. A branch
    # is: at the network's own address, and for an open one at the address of this machine that containers know.
    mine = ("--filter", f"label=dev.preview.name={name}")
    (container,) = run("docker", "ps", "--quiet", *mine).split()
    with (
        on_an_open_network(name) as (open_, bridge),
        socket.create_server(("0.0.0.0", 0)) as everywhere,
        socket.create_server((bridge, 0)) as single,
    ):
        port, own = (f"('host.docker.internal', {each.getsockname()[1]})" for each in (everywhere, single))
        assert not reaches(container, port)
        assert not reaches(open_, port)
        assert reaches(container, BRANCH)
        assert reaches(open_, own)
        team("stop", "firewall")
        assert reaches(container, port)
        assert reaches(open_, port)
        team("start", "firewall")
        until("the firewall", lambda: not reaches(container, port))
        assert not reaches(open_, port)
        assert reaches(container, BRANCH)
        assert reaches(open_, own)

    def there() -> bool:
        return team.answers(host, "/", 200, **{"X-Preview-Token": token})

    # What is asked is looked up anew, and nothing that serves a preview runs in these two.
    for service in ("server", "gate"):
        team("restart", service)
        until(f"the preview after a restart of {service}", there)
    until("the server", lambda: _up(f"{server}/readyz"))
    # The worker's container holds the ways in and out: they come back by themselves, or by who asks.
    team("restart", "worker")
    run(*small.command("reconcile", name), env=client, cwd=small.folder)
    until("the preview after a restart of the worker", there)
    team("restart", "store")
    until("the server", lambda: _up(f"{server}/readyz"))
    assert '"state": "ready"' in run(*small.command("list", "--json"), env=client, cwd=small.folder)
    run(*small.command("discard", name), env=client, cwd=small.folder)
    assert not run("docker", "ps", "--all", "--quiet", *mine).strip()


#: What an app dials, in words of Python.
BRANCH = "(lambda url: (url.hostname, url.port))(urllib.parse.urlsplit(os.environ['DATABASE_URL']))"


@contextmanager
def on_an_open_network(name: str) -> Iterator[tuple[str, str]]:
    """A container on such a network as a preview has with `egress = "open"`, and this machine's address for it."""
    client: Any = docker.from_env()
    private = Private(name=f"{name}-open", alias="app", closed=False)
    container = None
    try:
        ensure_private(client, private, {})
        container = client.containers.run(
            "preview-base:python3",
            ["sleep", "infinity"],
            detach=True,
            init=True,
            network=private.name,
            extra_hosts={"host.docker.internal": "host-gateway"},
        )
        yield container.id, DockerRuntime().host_address().bind
    finally:
        if container is not None:
            container.remove(force=True)
        for network in client.networks.list(names=[private.name]):
            network.remove()
        client.close()


def reaches(container: str, place: str) -> bool:
    """Whether a connection from inside of a container is taken."""
    program = f"import os, socket, urllib.parse; socket.create_connection({place}, 5).close()"
    done = subprocess.run(
        ["docker", "exec", container, "python3", "-c", program], capture_output=True, text=True
    )
    assert done.returncode == 0 or "Error" in done.stderr, done.stderr
    return done.returncode == 0


def _up(url: str, *, refused: bool = True) -> bool:
    try:
        return httpx.get(url, timeout=5, verify=False, trust_env=False).status_code == 200
    except httpx.ConnectError as error:
        # A TLS alert is an answer, too: nobody asked for a name.
        return not refused and "refused" not in str(error)
    except httpx.TransportError:
        return False
