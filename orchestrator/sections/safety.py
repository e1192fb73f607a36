"""What keeps a preview from doing anything real: `[safety]`. Reads nothing."""

from pydantic import Field

from orchestrator.sections.base import Section


class VerifySection(Section):
    """A query on the scrubbed branch that must find nothing; else the preview fails and no app starts."""

    name: str = Field(min_length=3, description="What must not be there any more, in a few words.")
    sql: str = Field(
        min_length=3, description="One query; a row of it is a person, a token, an address left."
    )


class SafetySection(Section):
    """What keeps a preview from doing anything real, though it has production's rows."""

    env: dict[str, str] = Field(
        default_factory=dict,
        description="Environment of previews only, stronger than `app.env` and `app.env_from`: other endpoints and "
        "keys for mail, payment and webhooks.",
    )
    scrub: list[str] = Field(
        default_factory=list,
        description="Files of SQL, relative to preview.toml, that are run on a branch of main before anything else "
        "sees it: they mask people, and empty what would send something.",
    )
    verify: list[VerifySection] = Field(
        default_factory=list, description="What must be true then, as `[[safety.verify]]`; see below."
    )
    production_hosts: list[str] = Field(
        default_factory=list,
        description="Names of production's machines, beside its database, that the environment of a preview must not "
        "hold: no app is started then.",
    )
    production_allowed: list[str] = Field(
        default_factory=list, description="Names of variables that may hold one of them all the same."
    )
