"""How the client's verbs are done: waiting, looking up what was lost, paging. Knows no verb of Neon's by name."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import httpx

from neon_client.errors import Conflict, NotFound, OperationTimeout
from neon_client.models import Branch, Endpoint, Operation, Secret
from neon_client.operations import wait_for
from neon_client.retry import Patience
from neon_client.wire import Answer, LostAnswer, Params, Wire, is_loopback, parsed, path

T = TypeVar("T")

PAGE: Final = 400


class Calls:
    """A client without verbs; `neon_client.client.NeonClient` documents the arguments."""

    def __init__(
        self,
        *,
        api_key: Secret | str,
        base_url: str = "https://console.neon.tech/api/v2",
        timeout_seconds: float = 30,
        transport: httpx.BaseTransport | None = None,
        retry_budget_seconds: float = 60,
        poll_seconds: float | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._patience: Final = patience or Patience(
            budget_seconds=retry_budget_seconds, locked_seconds=2 * retry_budget_seconds
        )
        self._poll_seconds: Final = poll_seconds or (0.1 if is_loopback(base_url) else 1.0)
        self._wire: Final = Wire(
            api_key=Secret(api_key),
            base_url=base_url,
            timeout_seconds=timeout_seconds,
            transport=transport,
            patience=self._patience,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the client is of no use afterwards."""
        self._wire.close()

    def __repr__(self) -> str:
        return f"NeonClient({self._wire.base_url})"

    def wait(
        self, project_id: str, operations: Iterable[Operation], timeout_seconds: float = 300
    ) -> tuple[Operation, ...]:
        """Wait until the operations ended. Raises OperationFailed, OperationTimeout."""

        def fetch(operation_id: str) -> Operation:
            where = path("projects", project_id, "operations", operation_id)
            return self._one(where, "operation", Operation.from_json)

        return wait_for(
            operations,
            fetch=fetch,
            timeout_seconds=timeout_seconds,
            poll_seconds=self._poll_seconds,
            sleep=self._patience.sleep,
            clock=self._patience.clock,
        )

    @contextmanager
    def turn(self, project_id: str) -> Iterator[None]:
        """For a block, this thread alone changes the project through this client: nobody parts what is one."""
        with self._wire.turn(project_id):
            yield

    def until(self, reached: Callable[[], bool], otherwise: str, timeout_seconds: float = 300) -> None:
        """Look until it is so. Raises OperationTimeout with ``otherwise``."""
        began = self._patience.clock()
        while not reached():
            if self._patience.clock() - began > timeout_seconds:
                raise OperationTimeout(
                    f"after {timeout_seconds:.0f} s {otherwise}", hint="run the command again"
                )
            self._patience.sleep(self._poll_seconds)

    def _create(self, send: Callable[[], T], find: Callable[[], T | None]) -> T:
        """Send; when the answer is lost, look, and only then send once more."""
        try:
            return send()
        except LostAnswer:
            # What was sent may still be under way: a look that finds nothing proves nothing yet. So send again;
            # if the first one gets done meanwhile, the second one meets its name.
            found = find()
            if found is not None:
                return found
        try:
            return send()
        except (Conflict, LostAnswer):
            found = find()
            if found is None:
                raise
            return found

    def _create_on(
        self,
        project_id: str,
        where: str,
        wanted: Mapping[str, Any],
        *,
        key: str,
        make: Callable[[object], T],
        find: Callable[[], T | None],
    ) -> T:
        def send() -> T:
            answer = self._wire.send("POST", where, json={key: dict(wanted)})
            self.wait(project_id, operations_of(answer))
            made: T = parsed(f"POST {where}", lambda: make(answer.body[key]))
            return made

        with self._wire.turn(project_id):
            return self._create(send, find)

    def _change(self, project_id: str, method: str, where: str, json: Mapping[str, Any] | None) -> Answer:
        """A mutation that says what shall be, so that it may be repeated; waits for its operations."""
        with self._wire.turn(project_id):
            answer = self._wire.send(method, where, json=json, repeatable=True)
            self.wait(project_id, operations_of(answer))
            return answer

    def _delete(self, project_id: str, where: str) -> None:
        try:
            self._change(project_id, "DELETE", where, None)
        except NotFound:
            return

    def _endpoint_verb(
        self,
        project_id: str,
        endpoint_id: str,
        method: str,
        tail: tuple[str, ...],
        json: Mapping[str, Any] | None,
    ) -> Endpoint:
        where = path("projects", project_id, "endpoints", endpoint_id)
        self._change(project_id, method, where + "".join(f"/{part}" for part in tail), json)
        return self._one(where, "endpoint", Endpoint.from_json)

    def pending(self, project_id: str, branch_id: str | None) -> tuple[Operation, ...]:
        """The operations under way, in order, of a branch or of all (None); Neon's list of them may lag."""
        where = path("projects", project_id, "operations")
        newest = self._list(where, "operations", Operation.from_json)
        return tuple(
            each for each in reversed(newest) if each.pending and branch_id in {None, each.branch_id}
        )

    def _one(self, where: str, key: str, make: Callable[[object], T]) -> T:
        body = self._wire.get(where).body
        made: T = parsed(f"GET {where}", lambda: make(body[key]))
        return made

    def _list(
        self, where: str, key: str, make: Callable[[object], T], params: Params | None = None
    ) -> tuple[T, ...]:
        return _made(f"GET {where}", self._wire.get(where, params).body, key, make)

    def _pages(
        self, where: str, key: str, make: Callable[[object], T], search: str | None = None
    ) -> Iterator[T]:
        """Neon gives a cursor even on the last page: the end is a page that is not full."""
        cursor: str | None = None
        while True:
            params: Params = {"limit": PAGE, "cursor": cursor, "search": search}
            body = self._wire.get(where, params).body
            page = _made(f"GET {where}", body, key, make)
            yield from page
            last, cursor = cursor, (body.get("pagination") or {}).get("cursor")
            if len(page) < PAGE or not cursor or cursor == last:
                return


def _made(what: str, body: Mapping[str, Any], key: str, make: Callable[[object], T]) -> tuple[T, ...]:
    made: tuple[T, ...] = parsed(what, lambda: tuple(make(each) for each in body[key]))
    return made


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without the absent: Neon tells null from not given."""
    return {name: value for name, value in values.items() if value is not None}


def operations_of(answer: Answer) -> tuple[Operation, ...]:
    """The operations that an answer announces; none means done already."""
    listed = answer.body.get("operations") or ()
    made: tuple[Operation, ...] = parsed(
        "operations", lambda: tuple(Operation.from_json(each) for each in listed)
    )
    return made


def branch_of(what: str, body: Mapping[str, Any]) -> Branch:
    """The branch of an answer with its annotation; ``what`` names the request."""
    made: Branch = parsed(what, lambda: Branch.from_json(body["branch"], body.get("annotation")))
    return made


def branches_of(what: str, body: Mapping[str, Any]) -> list[Branch]:
    """The branches of a page with their annotations."""
    labels = body.get("annotations") or {}
    made: list[Branch] = parsed(
        what, lambda: [Branch.from_json(each, labels.get(each["id"])) for each in body["branches"]]
    )
    return made
