"""The API behind a real port, as `preview serve` opens it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from orchestrator.api.app import make_app
from orchestrator.api.site import Site
from orchestrator.server import listening


@contextmanager
def served(site: Site) -> Iterator[int]:
    """Its port."""
    opened = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(listening(make_app(site), site.settings, host="127.0.0.1", port=0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]}, daemon=True)
    thread.start()
    try:
        yield opened.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)
