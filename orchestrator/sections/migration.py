"""How the migration is made: `[migration]`. Reads nothing."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from orchestrator.sections.base import Section, checked_size, parse_size


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
    online_size: Annotated[str, AfterValidator(checked_size)] = Field(
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
