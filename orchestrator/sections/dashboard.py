"""The pages for people: `[dashboard]`. Reads nothing."""

from pydantic import Field

from orchestrator.sections.base import Section


class DashboardSection(Section):
    """The pages that `preview serve` shows in a browser."""

    enabled: bool = Field(True, description="Whether there are pages.")
    url: str | None = Field(
        None,
        pattern=r"^https?://[A-Za-z0-9.-]+(:\d{1,5})?$",
        description="Where browsers reach them; default: `https://` and the gateway's domain, or, where that is "
        "`localhost`, `http://localhost:PORT`: there `preview dashboard` opens them without a token.",
    )
    pictures: bool = Field(
        True,
        description="Whether a picture is taken of each app's start page, where the server has a Chromium.",
    )
