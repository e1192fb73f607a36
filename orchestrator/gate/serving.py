"""Runs the gate, and keeps the gateway (Caddy) in front of it going. Knows no route and no preview."""

import fcntl
import hashlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

import uvicorn

from orchestrator.api.site import Site
from orchestrator.errors import Busy, SettingsError
from orchestrator.gate.app import Gate, make_gate
from orchestrator.gate.config import gateway_config
from orchestrator.gate.passes import EVERY, Pass, Passes
from orchestrator.gate.table import Reading
from orchestrator.gate.waking import Waking
from orchestrator.lifecycle import Preview, State
from orchestrator.lifecycle.around import patient
from orchestrator.sections import GatewaySection
from orchestrator.settings import home
from orchestrator.steps.border import translating
from preview.caddy import Caddy
from preview.errors import PreviewError

#: Where the gate listens when Caddy has to ask it by a URL: for certificates.
GATE_ADDRESS = "127.0.0.1:8401"
_LOOK_SECONDS = 2.0
_PATIENCE_SECONDS = 60.0


def folder() -> Path:
    """Where the gateway's files are."""
    return home() / "gateway"


def gate_address(gateway: GatewaySection) -> str:
    """Where the gate listens, as Caddy dials it."""
    if gateway.gate:
        return gateway.gate
    return GATE_ADDRESS if gateway.certificates else f"unix/{folder() / 'gate.sock'}"


def config_of(gateway: GatewaySection) -> dict[str, Any]:
    """Caddy's config, as the settings and the certificate's files are now.

    Raises:
        SettingsError: there is no certificate where the settings say that it is.
    """
    mark = ""
    if gateway.tls == "files":
        try:
            both = b"".join(Path(str(each)).read_bytes() for each in (gateway.certificate, gateway.key))
        except OSError as error:
            raise SettingsError(
                f"gateway.certificate and gateway.key cannot be read ({type(error).__name__})",
                hint=f"they are looked for at {gateway.certificate} and {gateway.key}",
            ) from None
        mark = hashlib.sha256(both).hexdigest()
    return gateway_config(gateway, gate_address(gateway), mark)


def caddy() -> Caddy:
    """The gateway's Caddy, running or not."""
    return Caddy(folder() / "caddy")


def open_gate(site: Site) -> Gate:
    """The gate of a server's project, or of this folder's."""
    gateway = site.settings.gateway

    def tokens() -> dict[str, str]:
        with site.tokens() as found:
            return {f"token:{each}": EVERY for each in found.good()}

    reading = Reading(lambda: site.store("gate"), tokens)

    def refused(what: str, on: str, note: str) -> None:
        site.refusals.tell(None, f"gate {what}", on=on, note=note, source="the gate")

    def recognise(token: str) -> Pass | None:
        with site.tokens() as found:
            caller = found.recognise(token)
        if caller is None:
            refused("token", "", "a token that is not good")
        return Pass(grants=f"token:{caller.token}", who=caller.who) if caller else None

    def open_share(secret: str, preview_id: str) -> Pass | None:
        with site.store("gate") as store:
            share = store.shares().use(secret, preview_id)
        if share is None:
            refused("share", preview_id, "a share link that is not good, or not for this preview")
        return Pass(grants=share.grants, who=share.note or share.made_by) if share else None

    def wake(preview_id: str) -> None:
        with site.assembled("gate", _Silent(), wait=patient(lambda _text: None, _PATIENCE_SECONDS)) as rooms:
            rooms.sleeping.wake(preview_id, why="asked for at the gateway")
        reading.read()

    def write_visits(asked: Mapping[str, datetime]) -> None:
        with site.store("gate") as store:
            store.visits().write(asked)

    with site.store("gate") as store:
        key = store.signing_key("gate")
    return Gate(
        gateway=gateway,
        reading=reading,
        waking=Waking(wake),
        passes=Passes(key, secure=not gateway.local, hours=gateway.session_hours, recognise=recognise),
        open_share=open_share,
        write_visits=write_visits,
    )


def run_gateway(
    site: Site, *, say: Callable[[str], None], tell: Callable[[str], None], with_caddy: bool = True
) -> None:
    """Run gate and gateway until a signal ends the gate.

    Ctrl-C ends the gateway with it. On any other end Caddy stays, with everybody who is connected through it: whoever
    restarts us, a service manager for example, finds it as it was.

    Args:
        site: whose previews.
        say: told the URL once previews can be reached.
        tell: told what goes wrong meanwhile, and better again.
        with_caddy: whether Caddy is ours to run, too.

    Raises:
        Busy: a gate of this machine runs already.
        StepFailed: Caddy is missing, or cannot be started.
    """
    gateway = site.settings.gateway
    with _the_only_one():
        dialled = gate_address(gateway)
        # uvicorn raises again what ended it; without this SIGTERM would end us before the last visits are written.
        before = signal.signal(signal.SIGTERM, lambda *_: None)
        try:
            with _kept_going(lambda: config_of(gateway), tell) if with_caddy else nullcontext():
                _Told(_listening(site, dialled), lambda: say(gateway.url("NAME"))).run()
        finally:
            signal.signal(signal.SIGTERM, before)


@contextmanager
def _kept_going(config: Callable[[], Mapping[str, Any]], tell: Callable[[str], None]) -> Iterator[None]:
    """Run Caddy for a block, start it again when it ends, and tell it of a new certificate; Ctrl-C ends it."""
    with translating("starting the gateway"):
        caddy().ensure(config())
    over = threading.Event()

    def supervise() -> None:
        told = ""
        while not over.wait(_LOOK_SECONDS):
            wrong = ""
            try:
                if caddy().ensure(config()):
                    tell("the gateway had ended; it is started again")
            except (PreviewError, SettingsError) as error:
                wrong = f"{error.message}; {error.hint}"
            if wrong and wrong != told:
                tell(wrong)
            told = wrong

    supervisor = threading.Thread(target=supervise, name="gateway", daemon=True)
    supervisor.start()
    interrupted = False
    try:
        yield
    except KeyboardInterrupt:
        interrupted = True
        raise
    finally:
        over.set()
        supervisor.join()
        if interrupted:
            caddy().stop()


def stop_gateway() -> bool:
    """End the gateway that an ended gate left; whether there was one."""
    there = caddy().runs()
    with translating("stopping the gateway"):
        caddy().stop()
    return there


def _listening(site: Site, dialled: str) -> uvicorn.Config:
    path = dialled.removeprefix("unix/")
    host, _, port = dialled.rpartition(":")
    where: dict[str, object] = {"uds": path} if path != dialled else {"host": host, "port": int(port)}
    return uvicorn.Config(
        make_gate(open_gate(site)),
        **where,  # type: ignore[arg-type]
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        # Caddy alone asks us, and says from where a request came.
        proxy_headers=False,
        timeout_graceful_shutdown=5,
    )


class _Told(uvicorn.Server):
    """A server that says when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: object = None) -> None:
        """See uvicorn."""
        await super().startup(sockets)  # type: ignore[arg-type]
        self._ready()


@contextmanager
def _the_only_one() -> Iterator[None]:
    """Hold the machine's place for a gate.

    Raises:
        Busy: another holds it; names the process.
    """
    folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder() / "gate.lock").open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise Busy(
                f"a gate runs already on this machine (process {lock.read().strip() or 'unknown'})",
                hint="one serves the previews of all projects of a store; end that one first",
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


class _Silent:
    """An observer that tells nobody."""

    def started(self, preview: Preview) -> None:
        """See Observer."""

    def detail(self, text: str) -> None:
        """See Observer."""

    def finished(self, preview: Preview, state: State, note: str, milliseconds: float) -> None:
        """See Observer."""

    def failed(self, preview: Preview, state: State, message: str, milliseconds: float) -> None:
        """See Observer."""
