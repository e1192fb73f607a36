"""A gateway in front of a small app: real Caddy, real gate, real diary; waking is the test's own."""

import itertools
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from orchestrator.access import Role, Tokens
from orchestrator.api.site import Site
from orchestrator.gate.app import make_gate
from orchestrator.gate.config import gateway_config
from orchestrator.gate.serving import open_gate
from orchestrator.gate.waking import Waking
from orchestrator.lifecycle import Preview, State, Store
from orchestrator.sections import GatewaySection
from orchestrator.settings import Settings
from preview.caddy import Caddy
from preview.ports import is_free
from tests.orchestrator.gate.small_app import small_app


@contextmanager
def listening(app: Any, **where: Any) -> Iterator[uvicorn.Server]:
    """An ASGI application on a thread of its own."""
    config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1, **{"ws": "none", **where})
    started = threading.Event()

    class Told(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            started.set()

    server = Told(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert started.wait(20)
    yield server
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


def _ports() -> Iterator[int]:
    """Below those that the product gives to candidates and the kernel to clients; each worker has its own."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 10
    first, begin = 10_000 + 1_000 * worker, os.getpid() % 1_000
    yield from (first + (begin + step) % 1_000 for step in itertools.count())


_PORTS = _ports()


def a_port() -> int:
    """Free, and nobody else's between this look and the moment at which somebody listens on it."""
    return next(port for port in _PORTS if is_free(port))


@dataclass
class House:
    """A gateway, its gate, its diary and an app.

    Attributes:
        woken: the ids of the previews that were woken, in order.
        wake: what waking does.
    """

    gateway: GatewaySection
    store: Store
    site: Site
    caddy: Caddy
    gate_address: str
    app_url: str
    woken: list[str] = field(default_factory=list)
    wake: Callable[[str], None] = lambda _id: None

    def asgi(self) -> Any:
        """The gate's application, anew."""

        gate = open_gate(self.site)

        def wake(preview_id: str) -> None:
            self.woken.append(preview_id)
            self.wake(preview_id)
            self.set(preview_id, sleeping_since=None)
            gate.reading.read()

        return make_gate(replace(gate, waking=Waking(wake)))

    @contextmanager
    def gate(self) -> Iterator[uvicorn.Server]:
        host, port = self.gate_address.split(":")
        with listening(self.asgi(), host=host, port=int(port)) as server:
            yield server

    def preview(self, name: str, state: State = State.READY, **facts: Any) -> Preview:
        """A row that has come so far; the one that is there, when there is one."""
        if there := self.store.find(name):
            return there
        facts = {"url": self.app_url, "branch": {"id": "br-1"}, **facts}
        preview = self.store.create(name=name, project="embedded/p-1", facts=facts)
        way = (State.MIGRATING, State.LAUNCHING, State.CHECKING, State.READY)
        with self.store.lease(preview.id) as lease:
            for to in way[: way.index(state) + 1] if state in way else ():
                preview = self.store.record(lease, to=to, kind="step")
        return preview

    def set(self, preview_id: str, **facts: Any) -> None:
        with self.site.store("test") as store, store.lease(preview_id, wait=lambda _holder: True) as lease:
            store.record(lease, to=store.get(preview_id).state, kind="test", facts=facts)

    def asleep(self, name: str) -> Preview:
        return self.preview(name, sleeping_since=datetime.now(UTC).isoformat())

    def token(self, who: str = "ada", role: Role = Role.VIEWER) -> str:
        with self.site.tokens() as tokens:
            return Tokens.create(tokens, who=who, role=role, by="test")[1].reveal()

    @property
    def port(self) -> int:
        return self.gateway.own_port

    def host(self, name: str) -> str:
        return f"{name}.{self.gateway.domain}"

    def ask(self, name: str, path: str = "/echo", *, method: str = "GET", **more: Any) -> httpx.Response:
        """A request through the gateway, to a preview's host."""
        headers = {"Host": self.host(name), **more.pop("headers", {})}
        with httpx.Client(trust_env=False, timeout=30) as client:
            return client.request(method, f"http://127.0.0.1:{self.port}{path}", headers=headers, **more)

    def raw(self, text: str) -> bytes:
        """The answer to exactly these bytes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(text.replace("\n", "\r\n").encode("latin-1"))
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
            return answer


@pytest.fixture
def open_house(
    open_store: Callable[..., Store],
    store_uri: str,
    enterable: Path,
    monkeypatch: pytest.MonkeyPatch,
    app_url: str,
) -> Iterator[Callable[..., House]]:
    """Makes houses; one is enough for most."""
    monkeypatch.setenv("PREVIEW_STORE_URL", store_uri)
    opened: list[House] = []

    def make(**gateway: Any) -> House:
        store = open_store()
        section = GatewaySection.model_validate(
            {"enabled": True, "port": a_port(), "listen": "127.0.0.1", **gateway}
        )
        settings = Settings.model_validate(
            {
                "project": {"id": "p-1", "database": "shop"},
                "goal": {"branch": "development"},
                "gateway": section.model_dump(),
            }
        )
        site = Site(settings, project="embedded/p-1")
        gate_address = f"127.0.0.1:{a_port()}"
        caddy = Caddy(enterable / f"gateway-{os.getpid()}-{len(opened)}")
        house = House(
            gateway=section,
            store=store,
            site=site,
            caddy=caddy,
            gate_address=gate_address,
            app_url=app_url,
        )
        opened.append(house)
        caddy.ensure(gateway_config(section, gate_address))
        return house

    yield make
    for house in opened:
        house.caddy.remove()
        house.site.close()


@pytest.fixture(scope="session")
def app_url() -> Iterator[str]:
    port = a_port()
    with listening(small_app(), host="127.0.0.1", port=port, ws="websockets-sansio"):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def house(open_house: Callable[..., House]) -> Iterator[House]:
    """A laptop's: `NAME.localhost`, open."""
    made = open_house()
    with made.gate():
        yield made


@pytest.fixture
def team(open_house: Callable[..., House]) -> Iterator[House]:
    """A team's: private, behind something that speaks HTTPS for it."""
    made = open_house(domain="preview.test", tls="off")
    with made.gate():
        yield made
