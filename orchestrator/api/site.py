"""What every request may use: settings, the store, everything assembled. Knows no route."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from orchestrator.access import Audit, Caller, Tokens
from orchestrator.api.pool import Connections
from orchestrator.api.rates import Rates
from orchestrator.bootstrap import Assembly, assemble, open_project
from orchestrator.lifecycle import Observer, Store
from orchestrator.opening import store_uri
from orchestrator.settings import Settings


class Site:
    """One server's doors; safe to use from many threads.

    Args:
        settings: the server's own preview.toml; what a client has in its folder never counts.
        project: the project's key, when it is known already.

    Attributes:
        settings: as given.
        rates: how often somebody may ask.
    """

    def __init__(self, settings: Settings, *, project: str | None = None) -> None:
        self.settings = settings
        self._project = project
        self.rates = Rates(
            per_minute=settings.server.requests_per_minute, failures=settings.server.failures_per_minute
        )
        self._connections = Connections(store_uri(settings))
        with self.store("server"):
            pass  # brings the store's tables to this program's version, once, before anybody asks

    @property
    def project(self) -> str:
        """The project's key, as in the diary's rows. Asks Neon once."""
        if self._project is None:
            with open_project(self.settings) as project:
                self._project = project.key
        return self._project

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

    def write(
        self, caller: Caller | None, action: str, *, on: str = "", outcome: str, note: str = ""
    ) -> None:
        """Add an entry to the audit."""
        with self.audit() as audit:
            audit.write(caller, action, on=on, outcome=outcome, note=note)

    def close(self) -> None:
        """Give back what is held."""
        self._connections.close()
