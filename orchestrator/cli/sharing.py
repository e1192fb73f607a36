"""The command about share links, here or at a team's server: made, listed, revoked. Verb to render only."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from orchestrator.cli.given import AsJson, Name
from orchestrator.cli.living import span

if TYPE_CHECKING:
    from orchestrator.access import Caller
    from orchestrator.acts.sharing import Sharing
    from orchestrator.lifecycle import Store
    from orchestrator.remote.wire import Wire


class Links(Protocol):
    """What can be done with the links of a preview; values are JSON."""

    def make(self, name: str, *, lasts: timedelta, note: str) -> dict[str, Any]:
        """A new one; its ``url`` is in this value only."""

    def of(self, name: str) -> list[dict[str, Any]]:
        """All of them, oldest first."""

    def revoke(self, name: str, share_id: str) -> dict[str, Any]:
        """Make one no good."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="share")(share)


def share(
    name: Name,
    lasts: Annotated[
        str,
        typer.Option("--for", metavar="SPAN", help="How long it is good: 30m, 12h, 2d (at most 90d)."),
    ] = "2d",
    note: Annotated[str, typer.Option("--note", help="Whom it is for.")] = "",
    list_: Annotated[bool, typer.Option("--list", help="List the preview's links instead.")] = False,
    revoke: Annotated[
        str | None,
        typer.Option("--revoke", metavar="ID", help="Make a link no good instead, for all who used it."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a link by which somebody without a token may see a preview for a while; it is printed once."""
    from orchestrator.cli import render

    time = span(lasts)
    with _links() as links:
        if list_:
            values = links.of(name)
            render.result_json(values) if as_json else render.shares(values)
            return
        if revoke is not None:
            gone = links.revoke(name, revoke)
            render.result_json(gone) if as_json else render.result(f"revoked {revoke}")
            return
        made = links.make(name, lasts=time, note=note)
    if as_json:
        render.result_json(made)
        return
    render.result(made["url"])
    until = made["expires_at"][:16].replace("T", " ")
    render.console().print(f"  id {made['id']}, good until {until} UTC; it is shown this once", markup=False)


@contextmanager
def _links() -> Iterator[Links]:
    from orchestrator.remote.wire import open_wire, server

    if server() is not None:
        with open_wire() as wire:
            yield LinksThere(wire)
        return
    from orchestrator.access import Caller, Role
    from orchestrator.acts.sharing import Sharing
    from orchestrator.opening import open_store
    from orchestrator.settings import find, load

    settings = load(find(Path.cwd()))
    with open_store(settings) as store:
        # Whoever reaches the diary may do everything with it.
        yield _Here(Sharing(settings, project=None), store, Caller(who=store.who, role=Role.ADMIN))


class _Here:
    def __init__(self, sharing: "Sharing", store: "Store", caller: "Caller") -> None:
        self._sharing, self._store, self._caller = sharing, store, caller

    def make(self, name: str, *, lasts: timedelta, note: str) -> dict[str, Any]:
        return self._sharing.make(self._store, self._caller, name, lasts=lasts, note=note)

    def of(self, name: str) -> list[dict[str, Any]]:
        return self._sharing.of(self._store, name)

    def revoke(self, name: str, share_id: str) -> dict[str, Any]:
        return self._sharing.revoke(self._store, self._caller, name, share_id)


class LinksThere:
    """Links at a team's server.

    Args:
        wire: to it.
    """

    def __init__(self, wire: "Wire") -> None:
        self._wire = wire

    def make(self, name: str, *, lasts: timedelta, note: str) -> dict[str, Any]:
        """See Links."""
        wanted = {"lasts": f"{int(lasts.total_seconds())}s", "note": note}
        # Never sent twice: a link that nobody has seen would stay good.
        value: dict[str, Any] = self._wire.call("POST", _path(name), json=wanted, again=False)
        return value

    def of(self, name: str) -> list[dict[str, Any]]:
        """See Links."""
        value: list[dict[str, Any]] = self._wire.get(_path(name))
        return value

    def revoke(self, name: str, share_id: str) -> dict[str, Any]:
        """See Links."""
        value: dict[str, Any] = self._wire.call("DELETE", _path(name, share_id))
        return value


def _path(name: str, *more: str) -> str:
    from orchestrator.remote.wire import quoted

    return "/".join((f"/previews/{quoted(name)}/shares", *map(quoted, more)))
