"""Words to others: `[notify]`. Reads nothing."""

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from orchestrator.sections.base import Section

What = Literal[
    "ready", "needs_answer", "approved", "promoted", "failed", "refused", "reverted", "discarded", "expiring"
]
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


class NotifyTarget(Section):
    """Somebody who is told, and of what."""

    name: str = Field("team", description="What this target is called in `preview notify`; each name once.")
    kind: Literal["webhook", "chat"] = Field(
        "webhook",
        description="`webhook`: JSON, signed; `chat`: a message for the incoming webhook of Slack, or of a chat "
        "that takes the same.",
    )
    url: str | None = Field(None, pattern=r"^https?://", description="Where it is sent.")
    url_env: str | None = Field(
        None, description="The environment variable that holds the URL, where the URL itself is a secret."
    )
    secret_env: str | None = Field(
        None,
        description="For `webhook`: the environment variable that holds the secret which signs it (HMAC-SHA256 in "
        "`Preview-Signature`).",
    )
    on: list[What] = Field(
        default=["ready", "needs_answer", "approved", "promoted", "failed", "reverted"],
        description="Of what it is told.",
    )
    internal: bool = Field(
        False,
        description="Whether the URL may lead to an address of this machine or of a private network.",
    )

    @field_validator("name")
    @classmethod
    def _a_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name[:60]!r} is no name; use up to 40 lower-case letters, digits and hyphens")
        return name

    @model_validator(mode="after")
    def _whole(self) -> "NotifyTarget":
        if (self.url is None) == (self.url_env is None):
            raise ValueError(f"{self.name}: give either `url` or `url_env`")
        if self.kind == "chat" and self.secret_env:
            raise ValueError(f"{self.name}: a chat message is not signed; `secret_env` is for a webhook")
        return self


class NotifySection(Section):
    """Who is told what happens to previews; see [the dashboard](dashboard.md)."""

    to: list[NotifyTarget] = Field(default_factory=list, description="`[[notify.to]]`: each one who is told.")
    expiring_hours: float = Field(
        24, gt=0, le=720, description="How long before a preview ends `expiring` is said."
    )

    @field_validator("to")
    @classmethod
    def _once(cls, targets: list[NotifyTarget]) -> list[NotifyTarget]:
        names = [each.name for each in targets]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"there are two targets {twice!r}; give each a name of its own")
        return targets
