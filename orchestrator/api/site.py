"""What every request may use: settings, the store, everything assembled. Knows no route."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property

from orchestrator.access import Audit, Caller, Tokens
from orchestrator.api.pool import Connections
from orchestrator.api.rates import Rates
from orchestrator.api.refusals import Counts, Refusals
from orchestrator.bootstrap import Assembly, assemble, open_project
from orchestrator.jobs.book import Book
from orchestrator.jobs.queue import install
from orchestrator.jobs.submit import Submissions
from orchestrator.lifecycle import Observer, Store
from orchestrator.opening import runtime, store_uri
from orchestrator.settings import Settings, home
from orchestrator.steps.border import translating
from orchestrator.steps.launch import Candidates
from orchestrator.steps.surroundings import Surroundings


class Site:
    """One server's doors; safe to use from many threads.

    Args:
        settings: the server's own preview.toml; what a client has in its folder never counts.
        project: the project's key, when it is known already.

    Attributes:
        settings: as given.
        uri: of the store's database; holds a password.
        rates: how often somebody may ask.
        refusals: what was refused, on its way into the audit.
        submissions: puts jobs into the queue.
    """

    def __init__(self, settings: Settings, *, project: str | None = None) -> None:
        self.settings = settings
        self._project = project
        self._main: str | None = None
        self.rates = Rates(
            per_minute=settings.server.requests_per_minute, failures=settings.server.failures_per_minute
        )
        self.refusals = Refusals(
            lambda caller, action, on, note: self.write(caller, action, on=on, outcome="refused", note=note),
            count=self._count,
            settle=self._settle,
        )
        self.uri = store_uri(settings)
        self._connections = Connections(self.uri)
        with self.store("server") as store:
            # Brings the tables to this program's version, once, before anybody asks.
            install(store.connection)
        self.refusals.settle()
        self._open = ExitStack()
        self.submissions = self._open.enter_context(
            Submissions(settings, project=self.project, uri=self.uri, refused=self.refusals.tell).open()
        )

    @property
    def project(self) -> str:
        """The project's key, as in the diary's rows. Asks Neon once."""
        if self._project is None:
            with open_project(self.settings) as project:
                self._project = project.key
        return self._project

    @property
    def main(self) -> str:
        """The name of the branch that production runs on. Asks Neon once."""
        if self._main is None:
            with open_project(self.settings) as project, translating("looking for main"):
                self._main = project.main.name
        return self._main

    @contextmanager
    def store(self, who: str) -> Iterator[Store]:
        """The diary, for looking and for short writes; `who` is written into its events."""
        with self._connections.one() as connection:
            yield Store(connection, who=who)

    @contextmanager
    def tokens(self) -> Iterator[Tokens]:
        """The tokens."""
        with self._connections.one() as connection:
            yield Tokens(connection)

    @contextmanager
    def audit(self) -> Iterator[Audit]:
        """The audit."""
        with self._connections.one() as connection:
            yield Audit(connection)

    @contextmanager
    def assembled(
        self, who: str, observer: Observer, *, wait: Callable[[str], bool] = lambda _holder: False
    ) -> Iterator[Assembly]:
        """Everything, on connections of its own: for the verbs, which hold leases."""
        with assemble(self.settings, observer, wait=wait) as assembly:
            assembly.store.who = who
            yield assembly

    @contextmanager
    def book(self) -> Iterator[Book]:
        """The jobs."""
        with self._connections.one() as connection:
            yield Book(connection)

    @cached_property
    def candidates(self) -> Candidates:
        """For looking at apps: nothing is started or stopped by it."""
        return Candidates(self.settings, runtime, tuple, Surroundings(self.settings, runtime, home()))

    def write(
        self, caller: Caller | None, action: str, *, on: str = "", outcome: str, note: str = ""
    ) -> None:
        """Add an entry to the audit."""
        with self.audit() as audit:
            audit.write(caller, action, on=on, outcome=outcome, note=note)

    def _count(self, more: Counts) -> None:
        with self.audit() as audit:
            audit.count(more)

    def _settle(self, older_than_seconds: float) -> None:
        with self.audit() as audit:
            audit.settle(older_than_seconds=older_than_seconds)

    def close(self) -> None:
        """Give back what is held."""
        self.refusals.close()
        self._open.close()
        self._connections.close()
