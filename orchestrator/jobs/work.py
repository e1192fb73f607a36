"""What a worker does with a job: assemble, act, write down how it ended. May run again after any crash."""

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from orchestrator.access import Audit, Tokens
from orchestrator.acts import ACTS, check
from orchestrator.acts.table import Request
from orchestrator.bootstrap import Assembly, assemble
from orchestrator.database import (
    COLD_SECONDS,
    HOLDS_LOCKS,
    Connection,
    advisory_lock,
    connect,
    lock_key,
    try_advisory_lock,
)
from orchestrator.disk import explained, no_room
from orchestrator.errors import Busy, DatabaseUnreachable, NotAllowed, OrchestratorError, Refused
from orchestrator.healing import FELL_ASLEEP, Healed
from orchestrator.jobs.book import Book, Job
from orchestrator.jobs.contexts import Contexts
from orchestrator.jobs.submit import Submissions
from orchestrator.jobs.telling import Telling
from orchestrator.lifecycle import Observer, Preview, State, Store, Wanted
from orchestrator.lifecycle.around import patient
from orchestrator.lifecycle.lease import LeaseLost
from orchestrator.redaction import clean
from orchestrator.settings import Settings, home

_log = logging.getLogger("preview.jobs")

#: How long a job waits for a preview that somebody else works on, in seconds.
_PATIENCE_SECONDS = 900.0
#: How often whoever stands by asks for a job that another worker is at, in seconds.
_STANDS_BY_SECONDS = 0.5
#: How often a job is begun before we stop believing that it is somebody else's fault.
_MOST_ATTEMPTS = 20
#: How long a row may stand still in a working state before a worker looks after it, in seconds.
_STILL_SECONDS = 5.0
#: How long a discard that failed is left alone, in seconds.
_FAILED_SECONDS = 120.0
#: After how long counted refusals that their own server did not make entries of are made so by us, in seconds.
_COUNTED_SECONDS = 90.0


class Works:
    """One project's work.

    Args:
        settings: the server's own.
        project: the project's key.
        uri: of the store's database.
        submissions: opened; for what is found lying about.
        observe: wraps the observer of a job; for logs.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        project: str,
        uri: str,
        submissions: Submissions,
        observe: Callable[[Observer, Mapping[str, str]], Observer] = lambda observer, _about: observer,
    ) -> None:
        self._settings = settings
        self._project = project
        self._uri = uri
        self._submissions = submissions
        self._observe = observe

    def perform(self, job_id: str) -> None:
        """Do a job; one that has ended stays as it is.

        Raises:
            DatabaseUnreachable, LeaseLost: it has not ended, and is to be done again.
        """
        with (
            connect(
                self._uri, purpose="job", patience_seconds=COLD_SECONDS, settings=HOLDS_LOCKS
            ) as connection,
            _alone(connection, job_id) as granted,
        ):
            book = Book(connection)
            job = book.begin(job_id) if granted else None
            if job is None:
                return
            try:
                done = self._act(Store(connection, who=job.who), book, job)
            except (LeaseLost, DatabaseUnreachable) as error:
                if connection.closed or job.attempts < _MOST_ATTEMPTS:
                    raise  # somebody took over, or the store is away: the next round puts it into the queue again
                book.end(job.id, error=_error_json(error))
            except OrchestratorError as error:
                if isinstance(error, NotAllowed | Refused):
                    Audit(connection).write(
                        job.caller, job.act, on=job.preview_name, outcome="refused", note=error.message
                    )
                book.end(job.id, error=_error_json(error), result=self._row(connection, book, job))
            except Exception as error:  # noqa: BLE001 - the job ends with it, and the worker goes on
                _log.exception("unexpected %s in job %s", type(error).__name__, job.id)
                full = no_room(error) if isinstance(error, OSError) else None
                said = full or OrchestratorError(
                    f"unexpected {type(error).__name__} in {job.act} {job.preview_name}",
                    hint="this is a fault of preview; the server's log has the details",
                )
                book.end(job.id, error=_error_json(said), result=self._row(connection, book, job))
            else:
                book.end(job.id, result=done.to_json() if isinstance(done, Preview) else done)

    def _act(self, looking: Store, book: Book, job: Job) -> Preview | Mapping[str, Any]:
        act = ACTS[job.act]
        if job.attempts == 1 and Tokens(looking.connection).revoked(job.token):
            raise NotAllowed(
                f"the token of {job.who} was revoked before {job.act} {job.preview_name} began",
                hint="ask again with a token that is good",
            )
        arguments = act.arguments.model_validate(dict(job.arguments))
        row = self._about(looking, job)
        if row is not None and row.state is not State.CLOSED:
            # It may have become somebody else's since the job was queued.
            allowed = self._settings.access.author_may_approve
            check(act.asked, job.caller, row, author_may_approve=allowed)
        telling = Telling(book, job.id)
        about = {"job": job.id, "act": job.act, "preview": job.preview_name, "who": job.who}
        if row is not None:
            book.about(job.id, row.id)
        source = {"context": getattr(arguments, "context", None), "image": getattr(arguments, "image", None)}
        settings = self._with_source(looking, row, source if any(source.values()) else None)
        observer = self._observe(telling, about)
        with assemble(settings, observer, wait=patient(telling.say, _PATIENCE_SECONDS)) as rooms:
            rooms.store.who = job.who
            return act.run(
                Request(
                    rooms=rooms,
                    name=job.preview_name,
                    caller=job.caller,
                    again=job.attempts > 1,
                    preview_id=row.id if row is not None and job.preview_id else None,
                    mend=lambda name: self._mend(looking, rooms, name, observer),
                ),
                arguments,
            )

    @staticmethod
    def _about(looking: Store, job: Job) -> Preview | None:
        """The row that a job is about; None: none yet, or the whole project."""
        if ACTS[job.act].of == "project":
            return None
        return looking.get(job.preview_id) if job.preview_id else looking.find(job.preview_name)

    def _mend(
        self, looking: Store, rooms: Assembly, name: str | None, observer: Observer
    ) -> tuple[Healed, ...]:
        """See orchestrator.healing; each preview with the sources that it was made from."""
        previews = (
            [rooms.controller.mine(name)]
            if name
            else [each for each in looking.live() if each.project == self._project]
        )
        healed: list[Healed] = []
        for settings, group in self._by_source(looking, previews):
            with assemble(settings, observer) as those:
                those.store.who = looking.who
                healed += those.healing.reconcile_all(looking.get(each.id) for each in group)
        asleep = rooms.healing.put_idle_to_sleep() if name is None else ()
        return (*healed, *(Healed(name=each, done=(FELL_ASLEEP,)) for each in asleep))

    def _with_source(self, looking: Store, row: Preview | None, given: Mapping[str, Any] | None) -> Settings:
        """The server's settings, with what the preview's author sent in place of the app's own sources."""
        source = given or (row.facts.get("source") if row is not None else None) or {}
        app = self._settings.app
        if digest := source.get("context"):
            folder = Contexts(looking.connection).unpack(digest, home() / "sources")
            app = app.model_copy(update={"context": str(folder), "image": None})
        elif image := source.get("image"):
            app = app.model_copy(update={"image": image})
        return self._settings.model_copy(update={"app": app})

    def _row(self, connection: Any, book: Book, job: Job) -> dict[str, Any] | None:
        preview_id = book.get(job.id).preview_id
        return Store(connection, who=job.who).get(preview_id).to_json() if preview_id else None

    def reconcile(self, preview_id: str) -> None:
        """Bring a preview that nobody works on to its rest."""
        with connect(self._uri, purpose="reconcile", patience_seconds=COLD_SECONDS) as connection:
            store = Store(connection, who="server")
            preview = store.get(preview_id)
            if not _lies_about(preview):
                return
            settings = self._with_source(store, preview, None)
            self._heal(store, (preview,), settings)

    def heal(self) -> None:
        """Look at every preview at rest: what died comes back, what is over ends, what is idle sleeps."""
        with connect(self._uri, purpose="heal", patience_seconds=COLD_SECONDS) as connection:
            store = Store(connection, who="server")
            busy = Book(connection).busy(self._project)
            resting = [
                each
                for each in store.live()
                if each.project == self._project and each.name not in busy and not _lies_about(each)
            ]
            for settings, previews in self._by_source(store, resting):
                self._heal(store, previews, settings)
            if resting:
                with self._assembled(self._settings, {"act": "sleep"}) as rooms:
                    rooms.healing.put_idle_to_sleep()

    def _by_source(
        self, store: Store, previews: Iterable[Preview]
    ) -> Iterator[tuple[Settings, list[Preview]]]:
        """Previews that were made from the same sources, with the settings for these."""
        groups: dict[str, list[Preview]] = {}
        for each in previews:
            groups.setdefault(json.dumps(each.facts.get("source"), sort_keys=True), []).append(each)
        for group in groups.values():
            yield self._with_source(store, group[0], None), group

    def _heal(self, store: Store, previews: Iterable[Preview], settings: Settings) -> None:
        """Heal previews that were made from the same sources."""
        with self._assembled(settings, {"act": "reconcile"}) as rooms:
            for healed in rooms.healing.reconcile_all(store.get(each.id) for each in previews):
                for text in healed.done:
                    _log.info("%s: %s", healed.name, clean(text))
                for text in healed.cannot:
                    _log.warning("%s: cannot: %s", healed.name, clean(text))

    @contextmanager
    def _assembled(self, settings: Settings, about: Mapping[str, str]) -> Iterator[Assembly]:
        with assemble(settings, self._observe(Silent(), about)) as rooms:
            rooms.store.who = "server"
            yield rooms

    @contextmanager
    def rescuing(self) -> Iterator[bool]:
        """The only one who gives jobs of dead workers back, for a block; yields whether.

        Two who both have seen that a worker is dead would give its job back twice: the second time from somebody alive.
        """
        with (
            connect(
                self._uri, purpose="rescue", patience_seconds=COLD_SECONDS, settings=HOLDS_LOCKS
            ) as connection,
            advisory_lock(connection, lock_key("rescue", self._project)) as granted,
        ):
            yield granted

    def look_round(self) -> tuple[int, int]:
        """Put what lies about into the queue: jobs that no queue knows, previews that nobody works on.

        Returns:
            How many of each.
        """
        with connect(self._uri, purpose="round", patience_seconds=COLD_SECONDS) as connection:
            book, store = Book(connection), Store(connection, who="server")
            jobs = sum(self._submissions.queue(job) for job in book.lost(self._project))
            busy = book.busy(self._project)
            previews = sum(
                self._submissions.queue_reconcile(preview)
                for preview in store.live()
                if preview.project == self._project
                and preview.name not in busy
                and _lies_about(preview)
                and _still(preview)
                and _nobody_works_on(store, preview)
            )
            book.forget()
            Audit(connection).settle(older_than_seconds=_COUNTED_SECONDS)
            contexts = Contexts(connection)
            contexts.forget()
            contexts.tidy(home() / "sources")
        return jobs, previews


@contextmanager
def _alone(connection: Connection, job_id: str) -> Iterator[bool]:
    """At a job for a block, when nobody else is; yields whether.

    A worker that was taken for dead may live, and be at it still. Whoever gets its job then stands by: to go on where
    it stops should it die, or to find that it has ended. After a while we leave it, and whoever looks round asks again.
    """
    key = lock_key("job", job_id)
    until = time.monotonic() + _PATIENCE_SECONDS
    while not try_advisory_lock(connection, key):
        if time.monotonic() > until:
            _log.warning("job %s is at another worker, which lives", job_id)
            yield False
            return
        time.sleep(_STANDS_BY_SECONDS)
    yield True  # the session's end frees it


class Silent:
    """An observer whom nobody hears."""

    def started(self, preview: Preview) -> None:
        """See lifecycle.Observer."""

    def detail(self, text: str) -> None:
        """See lifecycle.Observer."""

    def finished(self, preview: Preview, state: State, note: str, milliseconds: float) -> None:
        """See lifecycle.Observer."""

    def failed(self, preview: Preview, state: State, message: str, milliseconds: float) -> None:
        """See lifecycle.Observer."""


def _lies_about(preview: Preview) -> bool:
    """Whether there is something to do that no person has to ask for again.

    What a person began on production a person goes on with.
    """
    if preview.state is State.PROMOTING:
        return False
    return preview.state.working or (preview.wanted is Wanted.CLOSED and preview.state is not State.CLOSED)


def _still(preview: Preview) -> bool:
    age = time.time() - preview.updated_at.timestamp()
    return age > (_FAILED_SECONDS if preview.state is State.FAILED else _STILL_SECONDS)


def _nobody_works_on(store: Store, preview: Preview) -> bool:
    try:
        with store.lease(preview.id):
            return True
    except Busy:
        return False


def _error_json(error: OrchestratorError) -> dict[str, Any]:
    explained(error)
    return {
        "kind": type(error).__name__,
        "message": clean(error.message),
        "hint": clean(error.hint),
        "detail": clean(error.detail),
        "exit_code": error.exit_code,
    }
