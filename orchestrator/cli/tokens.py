"""Tokens here or at the server, for the commands: the same three acts on both. Prints nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from orchestrator.access import Role, Tokens
from orchestrator.errors import UsageError
from orchestrator.remote.wire import Wire, open_wire, quoted, server


class TokenActs(Protocol):
    """What can be done with tokens; values are JSON."""

    def create(self, *, who: str, role: str, days: float, note: str) -> dict[str, Any]:
        """A new token; its ``secret`` is in this value only."""

    def all(self) -> list[dict[str, Any]]:
        """Every token."""

    def revoke(self, token_id: str) -> dict[str, Any]:
        """Make one no good."""


@contextmanager
def open_tokens(*, local: bool) -> Iterator[TokenActs]:
    """The server's tokens, or with `local` those of the store that this machine reaches.

    Raises:
        UsageError: neither a server nor `--local` is given.
    """
    if local:
        from orchestrator.opening import open_store
        from orchestrator.settings import find, load

        with open_store(load(find(Path.cwd()))) as store:
            yield _Here(Tokens(store.connection), store.who)
        return
    if server() is None:
        raise UsageError(
            "whose tokens? PREVIEW_SERVER is not set",
            hint="export PREVIEW_SERVER, or add --local on the server's own machine",
        )
    with open_wire() as wire:
        yield _There(wire)


class _Here:
    def __init__(self, tokens: Tokens, who: str) -> None:
        self._tokens = tokens
        self._who = who

    def create(self, *, who: str, role: str, days: float, note: str) -> dict[str, Any]:
        if role not in set(Role):
            raise UsageError(f"there is no role {role!r}", hint=f"one of: {', '.join(Role)}")
        made, whole = self._tokens.create(who=who, role=Role(role), by=self._who, days=days, note=note)
        return {**made.to_json(), "secret": whole.reveal()}

    def all(self) -> list[dict[str, Any]]:
        return [each.to_json() for each in self._tokens.all()]

    def revoke(self, token_id: str) -> dict[str, Any]:
        return self._tokens.revoke(token_id, by=self._who).to_json()


class _There:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def create(self, *, who: str, role: str, days: float, note: str) -> dict[str, Any]:
        wanted = {"who": who, "role": role, "days": days, "note": note}
        value: dict[str, Any] = self._wire.call("POST", "/tokens", json=wanted, again=False)
        return value

    def all(self) -> list[dict[str, Any]]:
        value: list[dict[str, Any]] = self._wire.get("/tokens")
        return value

    def revoke(self, token_id: str) -> dict[str, Any]:
        value: dict[str, Any] = self._wire.call("DELETE", f"/tokens/{quoted(token_id)}")
        return value
