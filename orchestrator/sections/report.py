"""How findings are judged: `[report]`. Reads nothing."""

from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from orchestrator.sections.base import Section, checked_size


class IgnoreRule(Section):
    """A finding that the verdict leaves out, with the reason that the report repeats."""

    finding: str = Field(description="The finding's name, `check:subject`; `*` and `?` stand for anything.")
    reason: str = Field(min_length=3, description="Why; the report repeats it.")


class ReportSection(Section):
    """How findings are judged; they are named `check:subject`, where `*` and `?` stand for anything."""

    block: list[str] = Field(
        default_factory=list,
        description="Findings that stop a promotion where they would only need attention (or were not looked at).",
    )
    warn: list[str] = Field(
        default_factory=list,
        description="Findings that only need attention where they would stop a promotion.",
    )
    ignore: list[IgnoreRule] = Field(
        default_factory=list,
        description="Findings that the verdict leaves out: tables of `finding` and `reason`; the report shows both.",
    )
    exact_up_to: Annotated[str, AfterValidator(checked_size)] = Field(
        "512m",
        description="Tables up to this size are read whole to compare their values; of larger ones a sample of "
        "10,000 rows, by ranges of keys.",
    )
    untouched_up_to: Annotated[str, AfterValidator(checked_size)] = Field(
        "4g",
        description="Tables that no statement touches are read too, the smallest first, up to so much in all.",
    )
    current_image: str | None = Field(
        None,
        description="The image that runs in production; it is tried on the new schema. Default: that of the last "
        "promotion, where it is still there.",
    )
    current_context: str | None = Field(
        None,
        description="For the `process` runtime: the folder of the version that runs in production, relative to "
        "preview.toml.",
    )
    current_command: list[str] = Field(
        default_factory=list,
        description="The command that starts it there; default: `app.command` (in a container: "
        "`app.container_command`).",
    )
    requests: str = Field(
        "checks/requests.toml",
        min_length=1,
        description="A file of requests that both versions are asked on both schemas, relative to preview.toml.",
    )
    statements: str | None = Field(
        None,
        description="An export of production's pg_stat_statements (.csv with a header, or .json), relative to "
        "preview.toml; default: it is read on main.",
    )
    workload: str = Field(
        "checks/*.sql",
        min_length=1,
        description="Files of queries that are run on the branch and on an untouched one, and measured; relative to "
        "preview.toml, `*` and `?` stand for anything.",
    )
    slower: float = Field(
        2.0,
        gt=1,
        description="How many times as much a query may cost, or take, before the report calls it slower.",
    )

    @field_validator("workload")
    @classmethod
    def _relative(cls, pattern: str) -> str:
        if pattern.startswith("/"):
            raise ValueError("write a path relative to preview.toml")
        return pattern
