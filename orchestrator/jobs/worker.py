"""A worker: takes jobs from the queue, says that it lives, looks after what dead workers left. Decides nothing."""

import asyncio
import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any

from procrastinate import App
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import Status

from orchestrator.errors import OrchestratorError
from orchestrator.jobs import queue
from orchestrator.jobs.work import Works

_log = logging.getLogger("preview.worker")

#: How often somebody looks round, in seconds; the second field of a cron line.
_ROUND_CRON = "* * * * * */5"
#: How often previews at rest are looked at.
_HEAL_CRON = "* * * * *"
_HEAL = "heal"
#: How long running jobs may go on when the worker is stopped; afterwards the process ends, and others take them over.
GRACE_SECONDS = 20.0


class Worker:
    """A worker in a thread of its own.

    Args:
        works: what jobs do.
        project: the project's key: whose queue.
        uri: of the store's database.
        jobs: how many at once.
        heartbeat_seconds, stalled_seconds: see orchestrator.jobs.queue.
    """

    def __init__(
        self,
        works: Works,
        *,
        project: str,
        uri: str,
        jobs: int,
        heartbeat_seconds: float = queue.HEARTBEAT_SECONDS,
        stalled_seconds: float = queue.STALLED_SECONDS,
    ) -> None:
        self._works = works
        self._project = project
        self._uri = uri
        self._jobs = jobs
        self._heartbeat = heartbeat_seconds
        self._stalled = stalled_seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = threading.Event()
        self._main: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> bool:
        """Take no more jobs, and wait for those that run; says whether all ended in time."""
        self._stopping.set()
        loop, main = self._loop, self._main
        if loop is not None and main is not None and not loop.is_closed():
            loop.call_soon_threadsafe(main.cancel)
        self._thread.join(GRACE_SECONDS + 5)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                asyncio.run(self._work())
            except (ConnectorException, OrchestratorError, OSError) as error:
                # The store is away, or took us for dead: begin again as a new worker.
                _log.warning("the worker begins again after %s", type(error).__name__)
            except asyncio.CancelledError:
                return
            except Exception:  # noqa: BLE001 - whatever it was, a worker goes on
                _log.exception("the worker begins again after an unexpected error")
            self._stopping.wait(1.0)

    async def _work(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._main = asyncio.current_task()
        if self._stopping.is_set():
            return
        # asyncio's own pool has a few threads for each processor; ours wait for others most of the time.
        self._loop.set_default_executor(ThreadPoolExecutor(self._jobs + 4, thread_name_prefix="job"))
        app = queue.open_app(self._uri, threads=False)
        self._tasks(app)
        async with app.open_async():
            await self._heal_now(app)
            options: dict[str, Any] = {
                "install_signal_handlers": False,
                "update_heartbeat_interval": self._heartbeat,
                "stalled_worker_timeout": self._stalled,
                "delete_jobs": "always",
                "fetch_job_polling_interval": 2.0,
                "shutdown_graceful_timeout": GRACE_SECONDS,
            }
            name = f"{os.uname().nodename} {os.getpid()}"
            # What looks after the others has a place of its own: it must not wait behind long jobs.
            await asyncio.gather(
                app.run_worker_async(
                    queues=[queue.queue_of(self._project)], name=name, concurrency=self._jobs, **options
                ),
                app.run_worker_async(queues=[self._rounds], name=f"{name} rounds", concurrency=2, **options),
            )

    @property
    def _rounds(self) -> str:
        return queue.queue_of(self._project, "rounds")

    @property
    def _healing(self) -> str:
        return f"healing of {self._project}"

    async def _heal_now(self, app: App) -> None:
        """Have everything looked at as soon as somebody works: after a reboot nothing of ours runs."""
        task = app.configure_task(_HEAL, queue=self._rounds, queueing_lock=self._healing, lock=self._healing)
        with suppress(AlreadyEnqueued):
            await task.defer_async(timestamp=int(time.time()))

    def _tasks(self, app: App) -> None:
        app.task(name=queue.PERFORM)(self._works.perform)
        app.task(name=queue.RECONCILE)(self._works.reconcile)

        async def look_round(timestamp: int) -> None:
            del timestamp
            loop = asyncio.get_running_loop()
            with ExitStack() as alone:
                if await loop.run_in_executor(None, alone.enter_context, self._works.rescuing()):
                    await self._rescue(app)
            await loop.run_in_executor(None, self._works.look_round)

        async def heal(timestamp: int) -> None:
            del timestamp
            await asyncio.get_running_loop().run_in_executor(None, self._works.heal)

        periodic = app.periodic(cron=_ROUND_CRON, periodic_id=self._project)
        periodic(app.task(name="look_round", queue=self._rounds, queueing_lock=self._rounds)(look_round))
        periodic = app.periodic(cron=_HEAL_CRON, periodic_id=self._project)
        healing = self._healing
        periodic(app.task(name=_HEAL, queue=self._rounds, queueing_lock=healing, lock=healing)(heal))

    async def _rescue(self, app: App) -> None:
        """Give jobs of dead workers back to the queue, with what they had done already still done."""
        for name in (queue.queue_of(self._project), self._rounds):
            for job in await app.job_manager.get_stalled_jobs(
                queue=name, seconds_since_heartbeat=self._stalled
            ):
                _log.info("rescuing job %s of a dead worker", job.id)
                if name == self._rounds:
                    await app.job_manager.finish_job(job, status=Status.FAILED, delete_job=True)
                else:
                    await app.job_manager.retry_job(job)
