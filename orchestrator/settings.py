"""preview.toml and the environment, read once into one frozen value. Opens no connection and prints nothing.

What it may say is in `orchestrator/sections.py`.
"""

import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from orchestrator.errors import SettingsError, UsageError
from orchestrator.schema.privileges import Compare
from orchestrator.sections import (
    AccessSection,
    AppSection,
    DashboardSection,
    GatewaySection,
    GoalSection,
    LifetimeSection,
    LimitsSection,
    MigrationSection,
    NotifySection,
    ProjectSection,
    PromoteSection,
    ReleaseSection,
    ReportSection,
    RuntimeSection,
    SafetySection,
    Section,
    ServerSection,
    ServiceSection,
    StoreSection,
    in_order,
)

FILE_NAME = "preview.toml"
#: A preview's name becomes a host name label and part of container and branch names (RFC 1123).
NAME_PATTERN = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")


class Settings(Section):
    """All of preview.toml."""

    project: ProjectSection
    goal: GoalSection = GoalSection()
    app: AppSection = AppSection()
    runtime: RuntimeSection = RuntimeSection()
    migration: MigrationSection = MigrationSection()
    promote: PromoteSection = PromoteSection()
    release: ReleaseSection = ReleaseSection()
    report: ReportSection = ReportSection()
    services: dict[str, ServiceSection] = Field(default_factory=dict)
    safety: SafetySection = SafetySection()
    lifetime: LifetimeSection = LifetimeSection()
    limits: LimitsSection = LimitsSection()
    store: StoreSection = StoreSection()
    dashboard: DashboardSection = DashboardSection()
    notify: NotifySection = NotifySection()
    gateway: GatewaySection = GatewaySection()
    server: ServerSection = ServerSection()
    access: AccessSection = AccessSection()
    directory: Path = Field(Path(), exclude=True)

    @property
    def compare(self) -> Compare:
        """How much of the goal's owners and grants counts."""
        return Compare(self.migration.privileges)

    @field_validator("services")
    @classmethod
    def _startable(cls, services: dict[str, ServiceSection]) -> dict[str, ServiceSection]:
        return {name: services[name] for name in in_order(services)}

    @model_validator(mode="after")
    def _one_goal(self) -> "Settings":
        if self.migration.command is not None:
            if self.goal.given:
                raise ValueError(f"give either `goal.{self.goal.given[0]}` or `migration.command`, not both")
        elif len(self.goal.given) != 1:
            raise ValueError(
                "goal: give exactly one of `branch`, `url_env`, `directory`, or `migration.command` instead"
            )
        return self

    def path(self, relative: str) -> Path:
        """A path of the settings, relative to preview.toml's folder."""
        return (self.directory / relative).resolve()


def home() -> Path:
    """The one directory that holds all local state: $PREVIEW_HOME, else the platform's place for it.

    For root it is /var/lib/preview: PostgreSQL refuses root, and the unprivileged user that runs it instead
    cannot enter root's home directory.
    """
    if given := os.environ.get("PREVIEW_HOME"):
        return Path(given).expanduser().resolve()
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/preview")
    return Path(platformdirs.user_data_dir("preview", appauthor=False))


def check_name(name: str) -> str:
    """The name, if a preview can have it.

    Raises:
        UsageError: it cannot; says what a name looks like.
    """
    if NAME_PATTERN.fullmatch(name):
        return name
    shown = name if len(name) <= 60 else f"{name[:57]}..."
    raise UsageError(
        f"{shown!r} cannot be a preview's name",
        hint="use 1 to 40 lower-case letters, digits and hyphens, with a letter or digit at both ends: pr-142",
    )


def find(start: Path) -> Path:
    """preview.toml in `start` or the nearest folder above it.

    Raises:
        SettingsError: there is none.
    """
    for folder in (start, *start.parents):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    raise SettingsError(
        f"there is no {FILE_NAME} in {start} or above it",
        hint="`preview init` writes one; `preview demo` shows how it works",
    )


def load(file: Path) -> Settings:
    """Read preview.toml.

    Raises:
        SettingsError: it cannot be read, is not TOML, or a key is wrong; says which and what was expected.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not TOML: {error}") from None
    content.pop("directory", None)
    content = _with_compose(content, file.parent)
    try:
        settings = Settings.model_validate({**content, "directory": file.parent.resolve()})
    except ValidationError as error:
        raise SettingsError(
            f"{file}: {'; '.join(_explain(problem) for problem in error.errors())}",
            hint="docs/settings.md lists every key",
        ) from None
    return settings


def _with_compose(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What preview.toml says, on top of what its compose file says; that one's paths made relative to our folder."""
    app = content.get("app")
    if not isinstance(app, dict) or not app.get("compose"):
        return content
    # YAML costs a tenth of a second, which settings without it should not pay.
    from orchestrator.compose_file import read_compose

    if not isinstance(app.get("service"), str):
        raise SettingsError("app.compose needs app.service", hint="name the service that is the app")
    path = folder / str(app["compose"])
    without = app.get("compose_without", [])
    said = read_compose(path, app["service"], without if isinstance(without, list) else [])
    if "context" in said["app"]:
        said["app"]["context"] = os.path.relpath(path.parent / said["app"]["context"], folder)
    own_env = app.get("env", {})
    env = {**said["app"]["env"], **own_env} if isinstance(own_env, dict) else own_env
    own = content.get("services", {})
    return {
        **content,
        "app": {**said["app"], **app, "env": env},
        "services": {**said["services"], **(own if isinstance(own, dict) else {})},
    }


def _explain(problem: Any) -> str:
    """One problem of pydantic's in our words: the key's path, what is wrong, the nearest key."""
    path = ".".join(str(part) for part in problem["loc"]) or "preview.toml"
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(problem["loc"][-1]), _keys(problem["loc"][:-1]), n=1)
        return f"{path} is not a setting" + (f", did you mean {near[0]}?" if near else "")
    if problem["type"] == "missing":
        return f"{path} is missing"
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{path}: {message[:1].lower()}{message[1:]}"


def _keys(path: tuple[Any, ...]) -> list[str]:
    """The keys that are known at a path of sections."""
    model: type[BaseModel] = Settings
    for part in path:
        field = model.model_fields.get(str(part))
        if (
            field is None
            or not isinstance(field.annotation, type)
            or not issubclass(field.annotation, BaseModel)
        ):
            return []
        model = field.annotation
    return [name for name in model.model_fields if name != "directory"]
