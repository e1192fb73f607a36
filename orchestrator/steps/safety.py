"""Nothing real happens from a preview: scrubbed rows, other endpoints, no way to production. Touches branches only."""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import psycopg

from orchestrator.checks.report import Finding, Severity
from orchestrator.database import LOOPBACK, ROWS_HIDDEN, Connection, hides_rows
from orchestrator.errors import Refused, SettingsError, StepFailed
from orchestrator.migration.split import Piece, split
from orchestrator.postgres.inspect import inspect
from orchestrator.settings import Settings
from orchestrator.steps.border import translating
from orchestrator.steps.project import NeonProject

CHECK = "safety"
#: What would end the one transaction in which all of it is done or nothing.
_ENDS = frozenset({"BEGIN", "START", "COMMIT", "END", "ABORT", "ROLLBACK", "PREPARE"})


NO_PRODUCTION = Finding(
    check=CHECK,
    severity=Severity.OK,
    subject="environment",
    message="no variable of the settings or the image names a machine of production",
)


class Scrub:
    """The settings' policy, applied to a branch of main before anything else sees it."""

    def __init__(self, project: NeonProject, settings: Settings) -> None:
        self._project = project
        self._settings = settings

    @property
    def wanted(self) -> bool:
        """Whether there is a policy."""
        return bool(self._settings.safety.scrub or self._settings.safety.verify)

    def run(self, branch_id: str, detail: Callable[[str], None]) -> None:
        """Run all files in one transaction, then ask what must be true.

        Raises:
            SettingsError: a file cannot be read, or holds what no transaction allows.
            StepFailed: a statement or a verification fails; the branch must not be used.
        """
        if not self.wanted:
            return
        files = [(name, _statements(name, self._settings.path(name))) for name in self._settings.safety.scrub]
        with self._project.connect_disposable(branch_id, "scrub") as connection:
            before = inspect(connection).fingerprint()
            detail(f"scrubbing with {', '.join(name for name, _ in files)}")
            with connection.transaction():
                for name, pieces in files:
                    for piece in pieces:
                        _execute(connection, f"{name}, line {piece.line}", piece.sql)
            self._verify(connection, detail)
            if inspect(connection).fingerprint() != before:
                raise StepFailed(
                    f"{' or '.join(name for name, _ in files)} changed the schema of the branch, which is no longer "
                    "production's",
                    hint="a scrub may change rows only; schema changes belong into the goal",
                )

    def _verify(self, connection: Connection, detail: Callable[[str], None]) -> None:
        for each in self._settings.safety.verify:
            detail(f"verifying: {each.name}")
            with connection.transaction(force_rollback=True):
                connection.execute("set transaction read only")
                row = _execute(connection, f"safety.verify '{each.name}'", each.sql)
            if row is not None:
                raise StepFailed(
                    f"after the scrub there is still something of '{each.name}': its query finds rows",
                    hint="mend the files of safety.scrub; no app was started on the branch",
                )


def _statements(name: str, path: Path) -> tuple[Piece, ...]:
    try:
        pieces = split(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"safety.scrub: {name} cannot be read ({type(error).__name__})",
            hint=f"it is looked for at {path}",
        ) from None
    for piece in pieces:
        if piece.words and piece.words[0] in _ENDS:
            raise SettingsError(
                f"{name}, line {piece.line}: {piece.words[0]} has no place here",
                hint="all files are run in one transaction of ours",
            )
    return pieces


def _execute(connection: Connection, where: str, sql: str) -> object:
    """Run one statement; the first row of what it answers, or None."""
    try:
        cursor = connection.execute(sql.encode())
        return cursor.fetchone() if cursor.description else None
    except psycopg.Error as error:
        if error.sqlstate is None:
            raise
        first = str(error).strip().split("\n", 1)[0]
        message = f"{where}: PostgreSQL says {error.sqlstate}: {first}"
        hint = f"{ROWS_HIDDEN}; then `preview up`" if hides_rows(error) else "mend it, then `preview up`"
        raise StepFailed(message, hint=hint) from None


def production_names(project: NeonProject, settings: Settings) -> tuple[str, ...]:
    """What production's machines are called: its database, on Neon by the endpoint's id, and what the settings name."""
    with translating("asking where production is"):
        uri = project.uri(project.main.id)
    if uri.host in LOOPBACK:
        own = [f"{host}:{uri.port}" for host in ("127.0.0.1", "localhost", "host.docker.internal")]
    else:
        # Pooled and direct URLs have the endpoint's id in common: ep-quiet-sun-123456[-pooler].
        own = [uri.host.partition(".")[0].removesuffix("-pooler")]
    return (*own, *settings.safety.production_hosts)


def scan(
    environment: Mapping[str, str], names: Iterable[str], allowed: Iterable[str] = ()
) -> tuple[Finding, ...]:
    """Which variables name a production machine: findings without their values."""
    wanted = [
        (name, re.compile(rf"(?<![\w.-]){re.escape(name)}(?!\w|-(?!pooler))", re.IGNORECASE))
        for name in names
    ]
    spared, findings = frozenset(allowed), []
    for variable in sorted(environment):
        for name, pattern in wanted:
            if pattern.search(environment[variable]):
                findings.append(
                    Finding(
                        check=CHECK,
                        severity=Severity.ATTENTION if variable in spared else Severity.BLOCKED,
                        subject=variable,
                        message=f"the preview's environment names a machine of production: {name}",
                        mitigation=f"give {variable} another value under [safety.env]",
                    )
                )
                break
    return tuple(findings)


def refuse_production(findings: Iterable[Finding]) -> None:
    """No app starts that knows a way to production.

    Raises:
        Refused: names the variables.
    """
    blocked = [finding for finding in findings if finding.severity is Severity.BLOCKED]
    if blocked:
        raise Refused(
            "; ".join(f"{finding.subject}: {finding.message}" for finding in blocked),
            hint=f"{blocked[0].mitigation}, or allow it: safety.production_allowed = "
            f'["{blocked[0].subject}"] in preview.toml',
        )
