"""The team's server as a process: the API, and whatever rooms hang in beside it, on one port. Decides nothing."""

import os
import signal
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI

from orchestrator.api.app import make_app
from orchestrator.api.arriving import Arriving
from orchestrator.api.site import Site
from orchestrator.dashboard.frame import Page, visitor_of
from orchestrator.dashboard.mount import ROUTERS, Mounted
from orchestrator.database import LOOPBACK
from orchestrator.errors import StepFailed, UsageError
from orchestrator.gate.routes import gate_routes
from orchestrator.jobs.work import Works
from orchestrator.jobs.worker import Worker
from orchestrator.logs import Logged, set_up
from orchestrator.notify.notifier import Notifier
from orchestrator.settings import Settings

#: How long requests that wait for something may go on when the server is stopped, in seconds.
_GRACE_SECONDS = 5


def serve(
    settings: Settings,
    *,
    host: str,
    port: int,
    workers: int,
    say: Callable[[str], None],
    show: Callable[[str], None] = lambda _url: None,
    anywhere: bool = False,
) -> None:
    """Answer requests until a signal ends it.

    Args:
        settings: the server's own preview.toml.
        host, port: where to listen; 0 takes a free port.
        workers: how many jobs this process works on at once; 0 leaves them to `preview worker`.
        say: told the URL once it answers.
        show: told where a person comes in, when there are pages.
        anywhere: whether `host` may be another than this machine itself.

    Raises:
        UsageError: `host` is reachable from elsewhere, and that was not asked for.
        StepFailed: the port cannot be had.
    """
    if host not in LOOPBACK and not anywhere:
        raise UsageError(
            f"{host} can be reached from other machines, and this server speaks HTTP without TLS",
            hint="listen on 127.0.0.1 behind a gateway with TLS; or add --behind-gateway when one is in front",
        )
    set_up()
    site = Site(settings)
    worker = _worker(settings, site, workers) if workers else None
    pages = settings.dashboard.enabled
    app = make_app(site, routers=(*ROUTERS, gate_routes(visitor_of, Page)) if pages else ())
    mounted = Mounted(app, site, host=host, port=port) if pages else None

    def told(url: str) -> None:
        say(url)
        if mounted is not None:
            show(mounted.listens(urlsplit(url).port or port))

    server = _Told(listening(app, settings, host=host, port=port), told)
    if worker is not None:
        worker.start()
    notifier = _notifier(settings, site)
    if notifier is not None:
        notifier.start()
    done = True
    try:
        server.run()
    except SystemExit as end:
        if end.code:
            raise StepFailed(
                f"cannot listen on {host}:{port}",
                hint="another program may have the port; choose one with --port",
            ) from None
    finally:
        if mounted is not None:
            mounted.close()
        if notifier is not None:
            notifier.stop()
        if worker is not None:
            done = worker.stop()
        site.close()
    _end(done)


def listening(app: FastAPI, settings: Settings, *, host: str, port: int) -> uvicorn.Config:
    """How the application is listened for: what holds for every connection, whatever is asked on it."""
    proxies = list(settings.server.proxies)
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=Arriving,
        ws="none",
        # By default uvicorn believes everything on this machine about where a request comes from.
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        h11_max_incomplete_event_size=32 * 1024,
        limit_concurrency=1000,
    )


def work(settings: Settings, *, jobs: int, say: Callable[[str], None]) -> None:
    """Work on jobs until a signal ends it; for machines beside the one that answers requests.

    Args:
        settings: the same preview.toml as the server's.
        jobs: how many at once.
        say: told once it works.
    """
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    set_up()
    site = Site(settings)
    worker = _worker(settings, site, jobs)
    worker.start()
    say(f"working on {site.project}, {jobs} jobs at once")
    while not ended.wait(3600):
        pass
    done = worker.stop()
    site.close()
    _end(done)


def _worker(settings: Settings, site: Site, jobs: int) -> Worker:
    works = Works(settings, project=site.project, uri=site.uri, submissions=site.submissions, observe=Logged)
    return Worker(works, project=site.project, uri=site.uri, jobs=jobs)


def _notifier(settings: Settings, site: Site) -> Notifier | None:
    """Who tells others what happens, when there is anybody to tell; several servers take turns."""
    if not settings.notify.to:
        return None
    return Notifier(settings, project=site.project, open_store=lambda: site.store("server"))


def _end(done: bool) -> None:
    """Leave jobs that did not end in time to other workers: they notice, and go on where these stopped."""
    if not done:
        os._exit(0)


class _Told(uvicorn.Server):
    """A server that says where it listens."""

    def __init__(self, config: uvicorn.Config, say: Callable[[str], None]) -> None:
        super().__init__(config)
        self._say = say

    async def startup(self, sockets: object = None) -> None:
        """See uvicorn."""
        await super().startup(sockets)  # type: ignore[arg-type]
        for each in self.servers:
            for socket in each.sockets:
                host, port = socket.getsockname()[:2]
                self._say(f"http://{f'[{host}]' if ':' in host else host}:{port}")
