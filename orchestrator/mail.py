"""The mails that a preview sent to its sink, read; nobody else ever got them. Writes nothing."""

import email
import email.policy
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.lifecycle import Preview

_ID = re.compile(r"\d{20}-\d+-\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One mail.

    Attributes:
        id: by which it is asked for; ids rise with time.
        at: when it came, UTC.
        sender: of the envelope.
        recipients: of the envelope: who would have got it.
        subject: its subject line; empty when it has none.
        size: in bytes.
    """

    id: str
    at: datetime
    sender: str
    recipients: tuple[str, ...]
    subject: str
    size: int

    def to_json(self) -> dict[str, Any]:
        """All attributes by name; `at` in ISO 8601."""
        return {
            "id": self.id,
            "at": self.at.isoformat(timespec="seconds"),
            "sender": self.sender,
            "recipients": list(self.recipients),
            "subject": self.subject,
            "size": self.size,
        }


@dataclass(frozen=True, slots=True)
class Mailbox:
    """The mails of this machine's previews.

    Attributes:
        home: where they are.
    """

    home: Path

    def mails(self, preview: Preview) -> list[dict[str, Any]]:
        """All of a preview's, newest first, as JSON."""
        return [each.to_json() for each in mails(self.home, preview)]

    def source(self, preview: Preview, mail_id: str) -> str:
        """One of them, whole.

        Raises:
            UsageError: there is none with this id.
        """
        return message(self.home, preview, mail_id).as_string()


def side_folder(home: Path, preview: Preview) -> Path:
    """Where what stands beside a preview has its files."""
    return home / "sides" / f"preview-{preview.slug}"


def mails(home: Path, preview: Preview) -> tuple[Mail, ...]:
    """All of a preview's mails, newest first."""
    return tuple(_mails(side_folder(home, preview) / "mail"))


def _mails(folder: Path) -> Iterator[Mail]:
    for file in sorted(folder.glob("*.json"), reverse=True):
        with suppress(FileNotFoundError, ValueError):  # the oldest go while we look
            said = json.loads(file.read_text(encoding="utf-8"))
            content = file.with_suffix(".eml").read_bytes()
            yield Mail(
                id=file.stem,
                at=datetime.fromtimestamp(int(file.stem.partition("-")[0]) / 1e9, UTC),
                sender=said["from"] or "",
                recipients=tuple(said["to"]),
                subject=_subject(content),
                size=len(content),
            )


def _subject(content: bytes) -> str:
    with suppress(ValueError, LookupError, IndexError):
        return str(email.message_from_bytes(content, policy=email.policy.default)["subject"] or "")
    return ""


def message(home: Path, preview: Preview, mail_id: str) -> EmailMessage:
    """One mail, whole: headers, text, HTML, attachments, as Python's own library gives them.

    Raises:
        UsageError: there is none with this id.
    """
    file = side_folder(home, preview) / "mail" / f"{mail_id}.eml"
    if not _ID.fullmatch(mail_id) or not file.is_file():
        raise UsageError(
            f"{preview.name} has no mail {mail_id[:60]!r}", hint=f"`preview mail {preview.name}` lists them"
        )
    return email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
