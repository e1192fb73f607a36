"""Who may do what at the team's server: `[access]`. Reads nothing."""

from pydantic import Field

from orchestrator.sections.base import Section


class AccessSection(Section):
    """Who may do what at the team's server."""

    author_may_approve: bool = Field(
        True,
        description="Whether somebody who made or changed a preview may approve it; `false`: another person has to.",
    )
