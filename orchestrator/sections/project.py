"""Where production and the goal live: `[project]`, `[goal]`, `[store]`. Reads nothing."""

from pydantic import Field, model_validator

from orchestrator.sections.base import Section


class ProjectSection(Section):
    """Where production lives."""

    neon: str = Field(
        "embedded",
        description="`embedded` (PostgreSQL on this machine), `neon` (neon.tech), or the URL of a Neon API.",
    )
    id: str | None = Field(None, description="The Neon project's id; or give `name`.")
    name: str | None = Field(None, description="The Neon project's name, when no `id` is given.")
    database: str = Field(description="The database that previews and promotions are about.")
    role: str | None = Field(
        None, description="The role that migrates and that the app logs in as; default: the database's owner."
    )

    @model_validator(mode="after")
    def _named(self) -> "ProjectSection":
        if not self.id and not self.name:
            raise ValueError("give `id` or `name`")
        return self


class GoalSection(Section):
    """Where the wanted schema comes from: exactly one of the keys, unless `migration.command` makes it."""

    branch: str | None = Field(None, description="A branch of the project, by name: the development branch.")
    url_env: str | None = Field(
        None, description="The environment variable that holds the development database's URL."
    )
    directory: str | None = Field(
        None,
        description="A folder of .sql files that make the wanted schema in an empty database, in name order.",
    )

    @property
    def given(self) -> tuple[str, ...]:
        """The keys that are set."""
        return tuple(key for key in ("branch", "url_env", "directory") if getattr(self, key))


class StoreSection(Section):
    """Where previews are remembered."""

    url_env: str = Field(
        "PREVIEW_STORE_URL",
        description="The environment variable that holds the URL of a PostgreSQL database for the diary; when it "
        "is not set, an embedded database under $PREVIEW_HOME is used.",
    )
