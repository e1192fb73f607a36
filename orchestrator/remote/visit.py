"""What `preview doctor --server` finds out about a team's server, from here and by the server itself."""

from collections.abc import Iterator

from orchestrator.diagnosis import Result
from orchestrator.errors import OrchestratorError
from orchestrator.remote.wire import SERVER, open_wire


def look_at_server() -> tuple[Result, ...]:
    """Look at everything, in the order in which it is needed."""
    return tuple(_looks())


def _looks() -> Iterator[Result]:
    try:
        with open_wire() as wire:
            me = wire.get("/me")
            yield Result(
                subject="server", status="ok", message=f"{wire.url} answers, version of the API fits"
            )
            yield Result(subject="token", status="ok", message=f"{me['role']}, for {me['who']}")
            settings = wire.get("/settings")
            yield Result(
                subject="project", status="ok", message=f"{settings['project']}, main is {settings['main']}"
            )
            if me["role"] != "admin":
                yield Result(
                    subject="the server itself", status="note", message="not looked at: only an admin may"
                )
                return
            for each in wire.get("/doctor"):
                yield Result(**each)
    except OrchestratorError as error:
        yield Result(
            subject="server", status="missing", message=error.message, mend=error.hint or f"set {SERVER}"
        )
