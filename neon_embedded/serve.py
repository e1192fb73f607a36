"""The server's process: lock, key, recovery, HTTP until told to stop, then all computes down. Decides no verb."""

import json
import logging
import os
import secrets
import signal
import socket
import threading
import time
from contextlib import ExitStack, suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final

import uvicorn

from neon_embedded.app import PREFIX, application
from neon_embedded.authority import Authority
from neon_embedded.computes import let_in
from neon_embedded.errors import ServerNotStarted
from neon_embedded.faults import Faults
from neon_embedded.following import keep_spares
from neon_embedded.history import keep_history
from neon_embedded.home import Home, locked, write_private
from neon_embedded.plane import Plane
from neon_embedded.postmaster import LOOPBACK, is_free
from neon_embedded.processes import stop_postmaster
from neon_embedded.reaching import compute_behind
from neon_embedded.reconcile import keep_healing, recover
from neon_embedded.routes import ROUTES
from neon_embedded.store import Store

log: Final = logging.getLogger("neon_embedded")

#: Below Linux's ephemeral ports, like the computes', but in a range of its own.
_PORTS: Final = range(19_000, 20_000)
#: How often the server looks whether its home is still there, in seconds.
_LOOK_SECONDS: Final = 2.0
#: Whoever looks whether a server lives holds its lock for a blink.
_LOCK_ATTEMPTS: Final = 10
_LOG_BYTES: Final = 5_000_000


def serve(home: Path) -> None:
    """Serve until SIGTERM or SIGINT; then stop all computes cleanly.

    Raises:
        ServerNotStarted: another server has this home.
        HomeUnusable: the directory cannot be used.
    """
    for name in [each for each in os.environ if each.startswith("PG")]:
        del os.environ[name]  # PGOPTIONS, PGSERVICE and the like would bend our own connections
    place = Home.at(home)
    place.make()
    with ExitStack() as held:
        for _ in range(_LOCK_ATTEMPTS):
            if held.enter_context(locked(place.server_lock, wait=False)):
                break
            held.close()
            time.sleep(0.1)
        else:
            raise ServerNotStarted(
                f"another embedded Neon server runs on {place.root}", hint="neon-embedded status"
            )
        place.server_lock.write_text(str(os.getpid()))
        _log_to(place.log)
        _serve(place)


def _serve(place: Home) -> None:
    if not place.key_file.exists():
        write_private(place.key_file, f"embedded_{secrets.token_hex(24)}\n")
    allowed = os.environ.get("NEON_EMBEDDED_FAULTS") == "1"
    store = Store(place.rows)
    plane = Plane(place, store, faults=Faults(allowed=allowed))
    log.info("starting on %s", place.root)
    over = threading.Event()
    # uvicorn raises the signal that ended it once more: without a handler of ours that would be the end of us.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    authority = Authority(place)
    authority.credential()
    plane.behind = lambda endpoint_id: compute_behind(plane, authority, endpoint_id)
    plane.answer_knock = lambda endpoint_id: let_in(plane, endpoint_id)
    recover(plane)
    care = keep_healing(plane, over)
    history = keep_history(plane, over)
    spares = keep_spares(plane, over)
    threading.Thread(target=_end_with_home, args=(place, over), name="home", daemon=True).start()
    app = application(plane, place.key_file.read_text().strip(), ROUTES)
    listener = _listener(place)
    port = listener.getsockname()[1]
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=10,
        lifespan="off",
        server_header=False,
    )
    base_url = f"http://{LOOPBACK}:{port}{PREFIX}"
    write_private(place.state_file, json.dumps({"base_url": base_url, "port": port, "pid": os.getpid()}))
    log.info("serving %s", base_url)
    try:
        if not over.is_set():
            uvicorn.Server(config).run(sockets=[listener])
    finally:
        log.info("stopping")
        over.set()
        plane.history_wanted.set()
        care.join()
        history.join()
        plane.spares_wanted.set()
        spares.join()
        plane.close()
        # Somebody may have deleted the home: then PostgreSQL ends by itself (it looks for its pid file once a minute).
        for folder in (place.branches, place.spares):
            for directory in folder.iterdir() if folder.is_dir() else ():
                stop_postmaster(directory)
        place.state_file.unlink(missing_ok=True)
        store.close()
        log.info("stopped")


def _end_with_home(place: Home, over: threading.Event) -> None:
    """End this server when its home is deleted: nobody would find it again, and a second one would start beside it."""
    mine = place.server_lock.stat()
    while not over.wait(_LOOK_SECONDS):
        try:
            now = place.server_lock.stat()
        except OSError:
            now = None
        if now is None or (now.st_dev, now.st_ino) != (mine.st_dev, mine.st_ino):
            log.warning("%s was deleted: ending", place.root)
            os.kill(os.getpid(), signal.SIGTERM)
            return


def _listener(place: Home) -> socket.socket:
    """A listening socket: on the port of last time if it is free, so that an address in a file stays right."""
    wanted = [secrets.choice(_PORTS) for _ in range(100)]
    remembered = place.root / "port"
    with suppress(OSError, ValueError):
        wanted.insert(0, int(remembered.read_text()))
    for port in wanted:
        if not is_free(port):
            continue
        # With the protocol named, asyncio turns Nagle off on its connections: 40 ms less per request.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
            listener.listen(128)
        except OSError:
            listener.close()
            continue
        write_private(remembered, f"{port}\n")
        return listener
    raise ServerNotStarted("no free port found between 19000 and 19999", hint="end what listens there")


def _log_to(path: Path) -> None:
    handler = RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=2)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    path.chmod(0o600)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
