"""From an event to what is said about it: a message as a value, and as the JSON that is sent. Pure."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.lifecycle import Preview
from orchestrator.lifecycle.following import Followed
from orchestrator.redaction import clean

_LONGEST = 500
_SIGNS = {
    "ready": ":white_check_mark:",
    "needs_answer": ":question:",
    "approved": ":thumbsup:",
    "promoted": ":rocket:",
    "failed": ":x:",
    "refused": ":no_entry:",
    "expiring": ":hourglass:",
    "reverted": ":rewind:",
    "discarded": ":wastebasket:",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Something that is said about a preview.

    Attributes:
        key: the same for the same thing, however often it is said.
        what: ``ready``, ``needs_answer``, ``approved``, ``promoted``, ``failed``, ``refused``, ``reverted``,
            ``discarded`` or ``expiring``.
        project, preview_id, name, who: whose, which, by whom.
        at: when it happened, RFC 3339.
        text: one sentence.
        note: the event's line.
    """

    key: str
    what: str
    project: str
    preview_id: str
    name: str
    who: str
    at: str
    text: str
    note: str = ""

    def body(self, kind: str, pages: str | None) -> dict[str, Any]:
        """The JSON that is sent.

        Args:
            kind: ``webhook`` or ``chat``.
            pages: where the dashboard is, or None.
        """
        link = f"{pages.rstrip('/')}/previews/{self.name}" if pages else None
        if kind == "chat":
            return self._chat(link)
        return {
            "key": self.key,
            "what": self.what,
            "project": self.project,
            "preview": self.name,
            "preview_id": self.preview_id,
            "who": self.who,
            "at": self.at,
            "text": self.text,
            "note": self.note,
            "page": link,
        }

    def _chat(self, link: str | None) -> dict[str, Any]:
        name = f"<{link}|{_plain(self.name)}>" if link else f"*{_plain(self.name)}*"
        shown = f"{_SIGNS[self.what]} {_plain(self.text).replace(_plain(self.name), name, 1)}"
        note = f"\n>{_plain(self.note)}" if self.note else ""
        return {
            "text": _plain(self.text),
            "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": f"{shown}{note}"}}],
        }


def message(event: Followed) -> Message | None:
    """What is said about an event; None: nothing."""
    found = _what(event)
    if found is None:
        return None
    what, text = found
    return Message(
        key=_key(str(event.id), event.preview_id, what),
        what=what,
        project=event.project,
        preview_id=event.preview_id,
        name=event.name,
        who=event.who,
        at=event.at.isoformat(),
        text=text,
        note=clean(" ".join(event.note.split()))[:_LONGEST],
    )


def _what(event: Followed) -> tuple[str, str] | None:
    name, who = event.name, event.who
    if event.state == "closed" and (event.promoted or event.shadow) and event.kind == "step":
        return None  # what went to production, or was replaced, is tidied up
    kinds = {
        "approved": ("approved", f"{name} is approved by {who}"),
        "failed": ("failed", f"{name} failed"),
        "refused": ("refused", f"the promotion of {name} was refused; production is as it was"),
        "reverted": ("reverted", f"{name} was taken back from production by {who}"),
        "revert failed": ("failed", f"the revert of {name} failed"),
    }
    states = {
        "ready": ("ready", f"{name} is ready to look at"),
        "waiting": ("needs_answer", f"{name} waits for an answer"),
        "promoted": ("promoted", f"{name} is on production"),
        "closed": ("discarded", f"{name} is discarded"),
    }
    return states.get(event.state) if event.kind == "step" else kinds.get(event.kind)


def expiring(preview: Preview) -> Message | None:
    """What is said about a preview that will end soon; once for each end that it is given."""
    if preview.expires_at is None:
        return None
    return Message(
        key=_key("expires", preview.id, preview.expires_at.isoformat()),
        what="expiring",
        project=preview.project,
        preview_id=preview.id,
        name=preview.name,
        who=preview.created_by,
        at=preview.expires_at.isoformat(),
        text=f"{preview.name} ends at {preview.expires_at:%Y-%m-%d %H:%M} UTC",
        note="extend it if it is still needed",
    )


def headers(body: Mapping[str, Any], key: str) -> dict[str, str]:
    """What goes with a message beside its signature; the key lets whoever gets it twice see that."""
    return {
        "Content-Type": "application/json",
        "Idempotency-Key": key,
        "User-Agent": "preview-notify",
        "Preview-Event": str(body.get("what", "message")),
    }


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _plain(text: str) -> str:
    """Text that a chat shows as it is: no link, no mention, no markup in it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("`", "'")
