"""From a request to a job in the queue: who may, what is asked, once. Runs nothing."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from procrastinate import App
from pydantic import ValidationError

from orchestrator.access import Audit, Caller
from orchestrator.acts import ACTS, Act, check
from orchestrator.acts.table import Arguments, Discard, Up, Yes
from orchestrator.approval import looked_at
from orchestrator.controller import refuse_half_promoted
from orchestrator.errors import NotAllowed, Refused, UnknownPreview, UsageError
from orchestrator.jobs import queue
from orchestrator.jobs.book import Book, Job
from orchestrator.jobs.contexts import Contexts
from orchestrator.lifecycle import Preview, State, Store, Wanted
from orchestrator.opening import runtime
from orchestrator.settings import Settings, check_name


class Submissions:
    """Puts jobs into the queue.

    Args:
        settings: the server's own.
        project: the project's key.
        uri: of the store's database.
        refused: remembers in the audit what was refused: see Refusals.tell.
    """

    def __init__(self, settings: Settings, *, project: str, uri: str, refused: Callable[..., None]) -> None:
        self._settings = settings
        self._project = project
        self._uri = uri
        self._refused = refused

    @contextmanager
    def open(self) -> Iterator["Submissions"]:
        """With the queue's tables made and its connections open, for a block."""
        self._app = queue.open_app(self._uri, threads=True)
        with self._app.open():
            yield self

    @property
    def app(self) -> App:
        """The queue."""
        return self._app

    def submit(
        self,
        store: Store,
        caller: Caller,
        act_name: str,
        name: str,
        arguments: Mapping[str, Any],
        *,
        request: str | None = None,
    ) -> Job:
        """Ask for an act on a preview; says no before anything is queued. Written into the audit either way.

        Args:
            store: on any connection to the store's database.
            caller: who asks.
            act_name: see orchestrator.acts.
            name: the preview's; empty for an act on the whole project.
            arguments: of the act, JSON.
            request: the same one sent again by the same caller is the same job.

        Raises:
            NotAllowed: the role, the owner or the author is the wrong one.
            UsageError: no such act, name or argument.
            Refused: what was sent may not run here.
        """
        audit, book = Audit(store.connection), Book(store.connection)
        act = ACTS.get(act_name)
        if act is None:
            raise UsageError(f"there is no act {act_name[:40]!r}", hint=f"one of: {', '.join(ACTS)}")
        preview = None
        if act.of != "project":
            check_name(name)
            preview = store.find(name)
        elif name:
            raise UsageError(f"{act_name} is about the whole project, not about {name[:40]!r}")
        if preview is None and act.of == "closed":
            preview = store.find_last(name, project=self._project)
        try:
            given = _bound(act.arguments.model_validate(dict(arguments)), preview)
            check(act.asked, caller, preview, author_may_approve=self._settings.access.author_may_approve)
            self._fits(store, act, given, preview, name)
            if isinstance(given, Discard) and preview is not None and preview.state is not State.PROMOTING:
                refuse_half_promoted(preview, force=given.force)
        except (NotAllowed, Refused) as error:
            self._refused(caller, act.name, on=name, note=error.message, kind=act.name)
            raise
        except ValidationError as error:
            said = "; ".join(
                f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:5]
            )
            raise UsageError(f"{act.name} {name}: {said}") from None
        with store.connection.transaction():
            # Both or none: who looks round has a job run that lies here, and none may run that the audit does not know.
            job, new = book.add(
                project=self._project,
                act=act.name,
                name=name,
                arguments=given.model_dump(mode="json"),
                caller=caller,
                request=request,
            )
            if new:
                audit.write(caller, act.name, on=name, outcome="allowed", note=f"job {job.id}")
                if act.name == "discard" and preview is not None and _told_at_once(store, preview):
                    # It may be gone when the job's turn comes, and whether it was this one is what counts then.
                    book.about(job.id, preview.id)
        if new:
            self.queue(job)
        elif (job.project, job.act, job.preview_name) != (self._project, act.name, name):
            raise UsageError("another request had this key already", hint="use a new Idempotency-Key")
        return job

    def queue(self, job: Job) -> bool:
        """Put a job into the queue, unless it waits there; jobs about one name run one after another."""
        return queue.put(
            self._app,
            queue.PERFORM,
            project=self._project,
            lock=f"{self._project} {job.preview_name}",
            once=f"job {job.id}",
            job_id=job.id,
        )

    def queue_reconcile(self, preview: Preview) -> bool:
        """Have a preview brought to its rest, unless that is queued already."""
        return queue.put(
            self._app,
            queue.RECONCILE,
            project=self._project,
            lock=f"{self._project} {preview.name}",
            once=f"reconcile {preview.id}",
            preview_id=preview.id,
        )

    def _fits(self, store: Store, act: Act, given: object, preview: Preview | None, name: str) -> None:
        if preview is not None and preview.project != self._project:
            raise UsageError(
                f"{name} is a preview of another project", hint="choose another name, or ask its server"
            )
        if preview is None and act.of not in ("new", "project"):
            raise UnknownPreview(f"there is no preview {name!r}", hint="`preview list` shows what there is")
        if not isinstance(given, Up) or not (given.context or given.image):
            return
        if given.context and given.image:
            raise UsageError("sources and an image: give one of them")
        if given.context and not Contexts(store.connection).has(given.context):
            raise UsageError(
                "the app's sources are not here", hint="PUT them to /api/v1/contexts/DIGEST before"
            )
        kind = preview.facts["runtime"] if preview else runtime(self._settings.runtime.kind).kind
        if kind == "process" and not self._settings.server.local_processes:
            raise Refused(
                "this server runs apps as local processes, where nothing keeps what you send from its own secrets",
                hint="an admin starts a Docker engine there, or sets server.local_processes in its preview.toml",
            )


def _bound(given: Arguments, preview: Preview | None) -> Arguments:
    """A yes is to what is there when it is given: its job may wait behind one that brings the preview up anew."""
    if not isinstance(given, Yes) or given.looked_at or preview is None:
        return given
    return given.model_copy(update={"looked_at": looked_at(preview)})


def _told_at_once(store: Store, preview: Preview) -> bool:
    """Let whoever works on the preview know now: the job itself waits for its turn behind them; whether they know."""
    if preview.wanted is Wanted.CLOSED:
        return True
    if not preview.state.working or preview.state is State.PROMOTING:
        return False
    store.want(preview.id, Wanted.CLOSED, note="preview discard")
    return True
