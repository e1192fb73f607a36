"""Share links of previews: who may make, see and revoke them, and that the audit knows. Opens nothing itself."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.access import Audit, Caller, Role
from orchestrator.acts.access import Asked, check
from orchestrator.errors import NotAllowed, OrchestratorError, UnknownPreview, UsageError
from orchestrator.lifecycle import Preview, Store
from orchestrator.settings import Settings

#: Whoever has a link sees production's data: the preview's owner gives it, or an admin.
GIVES = Asked(role=Role.DEVELOPER, own=True)
#: Where the gateway takes links; see orchestrator.gate.
_PATH = "/.preview/share/"


class Sharing:
    """The share links of one project.

    Args:
        settings: `gateway`: where links lead.
        project: the project's key; None on the machine itself, where the diary has all of them.
        refused: remembers in the audit what was refused: caller, action, and by name ``on``, ``note`` and ``kind``;
            None where nobody can ask so often that it has to be counted.
    """

    def __init__(
        self, settings: Settings, *, project: str | None, refused: Callable[..., None] | None = None
    ) -> None:
        self._gateway = settings.gateway
        self._project = project
        self._refused = refused

    def why_not(self) -> str:
        """Why no link can be made here at all; empty when one can."""
        return "" if self._gateway.enabled else "a link leads through the gateway, which is not enabled"

    def forbids(self, caller: Caller, preview: Preview) -> str:
        """Why this person may not give and take links of a preview; empty when they may."""
        try:
            check(GIVES, caller, preview, author_may_approve=True)
        except NotAllowed as error:
            return error.message
        return ""

    def make(
        self, store: Store, caller: Caller, name: str, *, lasts: timedelta, note: str = ""
    ) -> dict[str, Any]:
        """A new link, as JSON; its ``url`` is in this value only.

        Raises:
            UnknownPreview: there is no live preview of this name.
            NotAllowed: the role, or the owner, is the wrong one.
            UsageError: there is no gateway, or it would last too long.
        """
        with self._audited(store, caller, "share", name) as (preview, told):
            if why := self.why_not():
                raise UsageError(
                    why,
                    hint="set `enabled = true` and the domain in [gateway] of preview.toml; docs/gateway.md",
                )
            whom = " ".join(note.replace("\0", "").split())
            made, secret = store.shares().make(preview.id, lasts=lasts, by=caller.who, note=whom)
            told.append(f"link {made.id} until {made.expires_at:%Y-%m-%d %H:%M} UTC")
        return {"url": f"{self._gateway.url(name)}{_PATH}{secret}", **made.to_json(datetime.now(UTC))}

    def of(self, store: Store, name: str) -> list[dict[str, Any]]:
        """The links of a preview, oldest first, as JSON; not the links themselves.

        Raises:
            UnknownPreview: there is no live preview of this name.
        """
        now = datetime.now(UTC)
        return [each.to_json(now) for each in store.shares().of(self._find(store, name).id)]

    def revoke(self, store: Store, caller: Caller, name: str, share_id: str) -> dict[str, Any]:
        """Make a link no good, also for those who came by it; again is harmless.

        Raises:
            UnknownPreview: there is no live preview of this name.
            NotAllowed: the role, or the owner, is the wrong one.
            UsageError: the preview has no such link.
        """
        with self._audited(store, caller, "share revoke", name) as (preview, told):
            gone = store.shares().revoke(preview.id, share_id, by=caller.who)
            told.append(f"link {gone.id}")
        return gone.to_json(datetime.now(UTC))

    @contextmanager
    def _audited(
        self, store: Store, caller: Caller, action: str, name: str
    ) -> Iterator[tuple[Preview, list[str]]]:
        audit = Audit(store.connection)
        preview = self._find(store, name)
        told: list[str] = []
        try:
            check(GIVES, caller, preview, author_may_approve=True)
            yield preview, told
        except OrchestratorError as error:
            if self._refused is None:
                audit.write(caller, action, on=name, outcome="refused", note=error.message)
            else:
                self._refused(caller, action, on=name, note=error.message, kind=action)
            raise
        audit.write(caller, action, on=name, outcome="allowed", note="; ".join(told))

    def _find(self, store: Store, name: str) -> Preview:
        found = store.find(name)
        if found is None or self._project not in (None, found.project):
            raise UnknownPreview(
                f"there is no preview {name!r}", hint="`preview list` shows those that there are"
            )
        return found
