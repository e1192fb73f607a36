"""What `preview doctor` finds out about this machine, these settings and Neon. Changes nothing."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neon_client.finding import discardable
from neon_client.models import Branch, Project
from neon_embedded import EmbeddedError, find_binaries, status
from orchestrator import bootstrap, opening
from orchestrator.errors import OrchestratorError, SettingsError
from orchestrator.settings import Settings, home
from orchestrator.steps.border import translating


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One thing that was looked at.

    Attributes:
        subject: what, e.g. ``Docker``.
        status: ``ok``, ``note`` (works without it) or ``missing``.
        message: what was found.
        mend: the command that mends it; may be empty.
    """

    subject: str
    status: str
    message: str
    mend: str = ""

    def to_json(self) -> dict[str, Any]:
        """All attributes by name."""
        return {"subject": self.subject, "status": self.status, "message": self.message, "mend": self.mend}


def examine(settings: Settings | None, problem: SettingsError | None) -> tuple[Result, ...]:
    """Look at everything, in the order in which it is needed."""
    return tuple(_examine(settings, problem))


def _examine(settings: Settings | None, problem: SettingsError | None) -> Iterator[Result]:
    yield Result(subject="Python", status="ok", message=sys.version.split()[0])
    yield _home()
    embedded = settings is None or settings.project.neon == opening.EMBEDDED
    own_store = not os.environ.get(settings.store.url_env if settings else "PREVIEW_STORE_URL")
    if embedded or own_store:
        yield _binaries()
        yield _server()
    yield from _runtimes(settings)
    if settings is None:
        message = problem.message if problem else "not looked at"
        status_ = "note" if problem and "there is no" in problem.message else "missing"
        yield Result(
            subject="preview.toml", status=status_, message=message, mend=problem.hint if problem else ""
        )
        return
    yield Result(subject="preview.toml", status="ok", message=str(settings.directory / "preview.toml"))
    if settings.project.neon != opening.EMBEDDED:
        key = _key(settings.project.neon)
        yield key
        if key.status == "missing":
            return
    yield from _project(settings)


def _home() -> Result:
    place = home()
    nearest = next(folder for folder in (place, *place.parents) if folder.exists())
    if not os.access(nearest, os.W_OK):
        return Result(
            subject="state directory",
            status="missing",
            message=f"{place} cannot be written",
            mend="export PREVIEW_HOME=a folder of yours",
        )
    free = os.statvfs(nearest)
    gigabytes = free.f_bavail * free.f_frsize / 2**30
    return Result(
        subject="state directory",
        status="ok" if gigabytes >= 1 else "note",
        message=f"{place}, {gigabytes:.1f} GiB free",
        mend="" if gigabytes >= 1 else "make room: every branch may need as much as production",
    )


def _binaries() -> Result:
    try:
        found = find_binaries(None, home())
    except EmbeddedError as error:
        return Result(subject="PostgreSQL", status="missing", message=error.message, mend=error.hint)
    return Result(subject="PostgreSQL", status="ok", message=f"{found.version} in {found.bin_dir}")


def _server() -> Result:
    seen = status(home())
    message = "runs" if seen.running else "does not run; the first command that needs it starts it"
    spares = [branch["spares"] for project in seen.projects for branch in project["branches"]]
    used = sum(each["bytes"] for each in spares)
    if used:
        message += (
            f"; warm spares take {used / 1_000_000:,.0f} MB of disk (`neon-embedded spares 0` frees it)"
        )
    trouble = next((each["trouble"] for each in spares if each["trouble"]), None)
    if trouble:
        return Result(
            subject="embedded Neon",
            status="note",
            message=f"{message}; a branch has no warm spare, so that branching it copies all: {trouble}",
            mend="neon-embedded status",
        )
    return Result(subject="embedded Neon", status="ok", message=message)


def _runtimes(settings: Settings | None) -> Iterator[Result]:
    wanted = settings.runtime.kind if settings else "auto"
    reason = opening.runtime("docker").available()
    if reason is None:
        yield Result(subject="Docker", status="ok", message="an engine answers")
        return
    if wanted == "docker":
        yield Result(subject="Docker", status="missing", message=reason)
        return
    yield Result(
        subject="Docker",
        status="note",
        message=f"{reason}; previews run as local processes, without isolation",
    )
    if settings is not None and not settings.app.command:
        yield Result(
            subject="process runtime",
            status="missing",
            message="app.command is not set, so the app cannot run as a local process",
            mend='add command = ["..."] to [app] in preview.toml, or start a Docker engine',
        )


def _project(settings: Settings) -> Iterator[Result]:
    subject = f"project {settings.project.name or settings.project.id}"
    try:
        with bootstrap.open_project(settings) as project:
            main = project.main
            yield Result(subject=subject, status="ok", message=f"{project.id}, main is branch {main.name}")
            with project.connect_reading(main.id, "doctor") as connection, translating("asking main"):
                row = connection.execute("show server_version").fetchone()
            yield Result(
                subject=f"database {settings.project.database}",
                status="ok",
                message=f"role {project.role(main.id)}, PostgreSQL {row[0] if row else '?'}",
            )
            yield _goal(settings, project.neon, project.id)
            with translating("asking Neon about the project"):
                yield from neon_limits(project.neon.project(project.id), project.neon.branches(project.id))
    except OrchestratorError as error:
        yield Result(subject=subject, status="missing", message=error.message, mend=error.hint)


def _key(where: str) -> Result:
    """Whether Neon takes the key, by its cheapest route; ``/auth`` covers keys of people and of organizations."""
    try:
        with opening.open_neon(where) as neon, translating("asking Neon about the key"):
            method = neon.auth()
    except OrchestratorError as error:
        return Result(subject="Neon API key", status="missing", message=error.message, mend=error.hint)
    whose = {"api_key_user": "a person's", "api_key_org": "an organization's"}.get(method, method)
    return Result(
        subject="Neon API key",
        status="ok",
        message=f"accepted, {whose}; it reaches whole projects, so no preview ever gets it",
    )


def neon_limits(project: Project, branches: tuple[Branch, ...]) -> Iterator[Result]:
    """What the project's settings and plan mean for previews: restore window, protection, room for branches."""
    yield _restore_window(project.history_retention_seconds)
    yield _protection(branches)
    yield _room(project, branches)


def _restore_window(seconds: int) -> Result:
    if seconds == 0:
        return Result(
            subject="restore window",
            status="note",
            message="off: after a promotion only its own restore point leads back, no other moment does",
            mend="raise the project's history retention in Neon's console",
        )
    shown = f"{seconds / 86_400:g} days" if seconds >= 172_800 else f"{seconds / 3_600:g} hours"
    return Result(
        subject="restore window",
        status="ok" if seconds >= 86_400 else "note",
        message=f"{shown}: a mistake that is noticed later than that cannot be taken back by Neon",
        mend="" if seconds >= 86_400 else "raise the project's history retention in Neon's console",
    )


def _protection(branches: tuple[Branch, ...]) -> Result:
    guarded = [branch.name for branch in branches if branch.protected]
    if any(branch.default and branch.protected for branch in branches):
        others = [branch.name for branch in branches if branch.protected and not branch.default]
        more = f" ({', '.join(others)} too)" if others else ""
        message = (
            f"main is protected{more}: nobody deletes it by mistake, and branches get passwords of their own"
        )
        return Result(subject="protected branches", status="ok", message=message)
    named = f"only {', '.join(guarded)}" if guarded else "none"
    return Result(
        subject="protected branches",
        status="note",
        message=f"{named}; main is not: branches inherit its passwords, which `preview up` changes at once",
        mend="protect main in Neon's console, where the plan allows it",
    )


def _room(project: Project, branches: tuple[Branch, ...]) -> Result:
    owner = project.extra.get("owner")
    limit = owner.get("branches_limit") if isinstance(owner, dict) else None
    if not isinstance(limit, int) or limit <= 0:
        return Result(
            subject="plan limits",
            status="note",
            message=f"{len(branches)} branches; how many the plan allows was not told, so it was not looked at",
        )
    left = limit - len(branches)
    message = (
        f"{len(branches)} of {limit} branches; a preview takes one, a promotion one more as its restore point"
    )
    if left >= 2:
        return Result(subject="plan limits", status="ok", message=message)
    oldest = ", ".join(
        branch.annotations.get("preview-name") or branch.name for branch in discardable(branches)[:5]
    )
    return Result(
        subject="plan limits",
        status="note" if left > 0 else "missing",
        message=f"{message}; there is {'room for one more' if left > 0 else 'no room'}",
        mend=f"discard what is not needed, oldest first: {oldest}"
        if oldest
        else "raise the plan's limit: every branch is protected or a parent",
    )


def _goal(settings: Settings, neon: Any, project_id: str) -> Result:
    goal = settings.goal
    if settings.migration.command is not None:
        return Result(subject="goal", status="ok", message="what the migration command makes on a branch")
    if goal.branch:
        with translating("looking for the goal"):
            there = neon.find_branch(project_id, goal.branch) is not None
        return Result(
            subject="goal",
            status="ok" if there else "missing",
            message=f"branch {goal.branch}" + ("" if there else " is not there"),
            mend="" if there else "set goal.branch in preview.toml",
        )
    if goal.url_env:
        there = bool(os.environ.get(goal.url_env))
        return Result(
            subject="goal",
            status="ok" if there else "missing",
            message=f"${goal.url_env} is {'set' if there else 'not set'}",
            mend="" if there else f"export {goal.url_env}=postgresql://...",
        )
    folder = settings.path(goal.directory or "")
    count = len(list(Path(folder).glob("*.sql")))
    return Result(
        subject="goal", status="ok" if count else "missing", message=f"{folder} holds {count} .sql files"
    )
