"""The sections of preview.toml as frozen values. Reads nothing.

The descriptions here are the manual: `docs/settings.md` is generated from them.
"""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)
_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def parse_size(text: str) -> int:
    """Bytes of a size such as ``512m`` or ``1.5 GiB`` (units of 1024).

    Raises:
        ValueError: it is not a size.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size; write for example 512m or 2g")
    return int(float(match[1]) * _UNITS[match[2].lower()])


def _size(text: str) -> str:
    parse_size(text)
    return text


class Section(BaseModel):
    """What every section is: frozen, and without keys that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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


class MigrationStepSection(Section):
    """A file of SQL of your own that runs with the generated plan: once on main, and in every rehearsal until then."""

    file: str = Field(min_length=1, description="The file, relative to preview.toml.")
    when: Literal["before", "before_contract", "after"] = Field(
        "before_contract",
        description="`before` the generated statements, `before_contract` (after what adds, before what drops), "
        "or `after` all of them.",
    )
    transaction: bool = Field(
        True,
        description="`false` runs each statement by itself: for what no transaction allows (CONCURRENTLY, VACUUM).",
    )
    batch: bool = Field(
        False,
        description="The file is one statement that changes a part of the rows; it is repeated, each time in a "
        "transaction of its own, until it changes none.",
    )

    @model_validator(mode="after")
    def _sane(self) -> "MigrationStepSection":
        if self.batch and not self.transaction:
            raise ValueError("`batch` and `transaction = false` exclude each other")
        return self


class MigrationSection(Section):
    """How the migration is generated; a tool's command instead of a goal, and SQL of your own beside the plan."""

    online: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Whether a table that must be written again (a column's type changes, a new column's default "
        "differs by row) is written beside the traffic: new column, trigger, batches, swap. `auto` does so from "
        "`online_size` on.",
    )
    online_size: Annotated[str, AfterValidator(_size)] = Field(
        "256m", description="For `auto`: from this size on a table is large."
    )
    renames: Literal["ask", "ask_unless_proved"] = Field(
        "ask",
        description="`ask_unless_proved` takes a rename for granted where goal and main are branches of one database "
        "and the table (same oid) or column (same table, number and type) is physically the same.",
    )
    answers: str | None = Field(
        None,
        description="A file beside preview.toml that keeps the answers to questions, for review in Git: read by `up` "
        "and `plan`, written when questions are answered.",
    )

    privileges: Literal["ignore", "add", "all"] = Field(
        "add",
        description="Owners and grants: `ignore` them; `add` what the goal grants and take nothing away on main; make "
        "`all` of them the goal's, owners included.",
    )
    prove_reverse: bool = Field(
        True,
        description="Whether the rehearsal also applies the reverse plan, on a throw-away branch of its branch.",
    )

    command: str | list[str] | None = Field(
        None,
        description="Runs in the app's image (as a local process: in `app.context`) with DATABASE_URL of a branch, and "
        "makes the wanted schema. A string is given to `sh -c`, a list runs as it is.",
    )
    url_names: list[str] = Field(
        default_factory=list,
        description="Names of variables, beside DATABASE_URL, in which the command finds the URL.",
    )
    timeout_seconds: float = Field(600, gt=0, description="How long the command may take.")
    lock_timeout_ms: int = Field(
        2000,
        ge=1,
        description="`lock_timeout` of the command's sessions, in milliseconds (by PGOPTIONS, which libpq reads).",
    )
    promote_with: Literal["plan", "command"] = Field(
        "plan",
        description="`plan` promotes the generated, lock-safe plan that leads to what the command made; `command` runs "
        "the command itself on main, and proves the result.",
    )
    bookkeeping: list[str] = Field(
        default_factory=list,
        description="More tables whose rows go with the schema, as `table` or `schema.table`; those of well-known "
        "migration tools are known.",
    )
    steps: list[MigrationStepSection] = Field(
        default_factory=list, description="SQL of your own, as `[[migration.steps]]`; see below."
    )

    @model_validator(mode="after")
    def _possible(self) -> "MigrationSection":
        if self.command is not None and not (
            self.command.strip() if isinstance(self.command, str) else self.command and self.command[0]
        ):
            raise ValueError("`command` is empty")
        if self.promote_with == "command" and self.command is None:
            raise ValueError("`promote_with` is `command`, and there is no `command`")
        if self.promote_with == "command" and any(step.when == "before_contract" for step in self.steps):
            raise ValueError(
                "a step with `when` = `before_contract` has no place in what a command does; use `before` or `after`"
            )
        files = [step.file for step in self.steps]
        if twice := sorted({file for file in files if files.count(file) > 1}):
            raise ValueError(f"the step {twice[0]} is listed twice")
        return self

    @property
    def argv(self) -> tuple[str, ...]:
        """The command as a program and its arguments; empty when there is none."""
        if isinstance(self.command, str):
            return ("/bin/sh", "-c", self.command)
        return tuple(self.command or ())

    @property
    def online_bytes(self) -> int:
        """`online_size` in bytes."""
        return parse_size(self.online_size)


class AppSection(Section):
    """The app: how it is built and run, and how we know that it is healthy."""

    image: str | None = Field(None, description="A ready-made image to run instead of building one.")
    context: str = Field(".", description="The folder that is sent to the image build, beside preview.toml.")
    dockerfile: str = Field("Dockerfile", description="The Dockerfile, relative to `context`.")
    target: str | None = Field(None, description="The build stage to stop at.")
    build_args: dict[str, str] = Field(default_factory=dict, description="Build arguments.")
    command: list[str] = Field(
        default_factory=list,
        description="The command that starts the app in `context` where it runs as a local process (the `process` "
        "runtime, which needs it); `{port}` in it is replaced by the port to listen on.",
    )
    container_command: list[str] = Field(
        default_factory=list, description="Replaces the image's own command in a container."
    )
    port: int = Field(
        8000, ge=1, le=65535, description="The port that the app listens on (also given as PORT)."
    )
    health: str = Field(
        "/healthz", pattern=r"^/", description="The path that answers 2xx or 3xx when all is well."
    )
    health_timeout_seconds: float = Field(
        60, gt=0, description="How long the app may take to become healthy."
    )
    memory: Annotated[str, AfterValidator(_size)] = Field("1g", description="The most memory it may use.")
    cpus: float = Field(2.0, gt=0, description="The most processors it may use.")
    pids: int = Field(512, ge=16, description="The most processes and threads it may have.")
    env: dict[str, str] = Field(
        default_factory=dict,
        description="Environment of the app, beside DATABASE_URL, PREVIEW_NAME, PREVIEW_URL and PORT.",
    )
    env_from: list[str] = Field(
        default_factory=list,
        description="Names of variables that are passed on from the environment of `preview`: for secrets.",
    )

    @property
    def memory_bytes(self) -> int:
        """`memory` in bytes."""
        return parse_size(self.memory)


class RuntimeSection(Section):
    """What runs previews."""

    kind: Literal["auto", "docker", "process"] = Field(
        "auto",
        description="`docker`; `process` (a local process, no isolation); `auto` takes Docker where an engine answers.",
    )
    host_port: int | None = Field(
        None, ge=1, le=65535, description="A fixed port on 127.0.0.1; default: a free one for each preview."
    )


class PromoteSection(Section):
    """What a promotion may do."""

    block: list[str] = Field(
        default_factory=lambda: ["deletes_data"],
        description="Hazard codes that stop a promotion until they are allowed by name.",
    )
    allow: list[str] = Field(
        default_factory=list, description="Hazards allowed for every preview: `code` or `code:object`."
    )
    approval: Literal["implicit", "required"] = Field(
        "implicit",
        description="`implicit`: `preview promote` is the yes of whoever runs it; `required`: it refuses without a "
        "`preview approve` before it.",
    )
    lock_attempts: int = Field(
        12,
        ge=1,
        le=1000,
        description="How often statements are tried when a lock is not granted in time; between two tries "
        "everybody else goes first.",
    )


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
    exact_up_to: Annotated[str, AfterValidator(_size)] = Field(
        "512m",
        description="Tables up to this size are read whole to compare their values; of larger ones a sample of "
        "10,000 rows, by ranges of keys.",
    )
    untouched_up_to: Annotated[str, AfterValidator(_size)] = Field(
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


class StoreSection(Section):
    """Where previews are remembered."""

    url_env: str = Field(
        "PREVIEW_STORE_URL",
        description="The environment variable that holds the URL of a PostgreSQL database for the diary; when it "
        "is not set, an embedded database under $PREVIEW_HOME is used.",
    )
