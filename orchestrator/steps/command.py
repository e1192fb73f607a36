"""Running the migration command where the app would run: its environment, its lines, its end. Touches the runtime."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from neon_client.models import ConnectionURI
from orchestrator.database import ALL_ROWS, LOOPBACK, ROWS_HIDDEN
from orchestrator.errors import Refused, StepFailed
from orchestrator.lifecycle import Preview
from orchestrator.settings import Settings
from orchestrator.steps.border import translating
from orchestrator.steps.launch import Candidates, task_name
from orchestrator.steps.surroundings import labels
from preview.spec import Image, Resources, TaskSpec

#: How many of its last lines the diary keeps.
KEPT_LINES = 400
#: How PostgreSQL refuses what a policy would change, as tools pass it on.
_HIDDEN = "affected by row-level security policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One run of the command that ended well.

    Attributes:
        lines: its last lines, without secrets.
        milliseconds: how long it took.
    """

    lines: tuple[str, ...]
    milliseconds: float


class Command:
    """The command of the settings, run in the app's image or folder."""

    def __init__(self, settings: Settings, candidates: Candidates) -> None:
        self._settings = settings
        self._candidates = candidates

    @property
    def wanted(self) -> bool:
        """Whether the settings have one."""
        return self._settings.migration.command is not None

    @property
    def on_main(self) -> bool:
        """Whether a promotion runs it, instead of the generated plan."""
        return self.wanted and self._settings.migration.promote_with == "command"

    @property
    def bookkeeping(self) -> tuple[str, ...]:
        """Tables beside the known ones whose rows go with the schema."""
        return tuple(self._settings.migration.bookkeeping)

    @property
    def argv(self) -> list[str]:
        """What runs, as the diary keeps it."""
        return list(self._settings.migration.argv)

    def rehearse(self, preview: Preview, uri: ConnectionURI, detail: Callable[[str], None]) -> Ran:
        """Run it on a branch, in the image that `up` makes now.

        Raises:
            StepFailed: it cannot run, ended badly or not in time; its last lines are the detail.
        """
        return self._run(preview, uri, self._candidates.image(preview, detail), detail, main=False)

    def promote(self, preview: Preview, uri: ConnectionURI, detail: Callable[[str], None]) -> Ran:
        """Run it on main, in the image that was rehearsed.

        Raises:
            Refused: the app's source is not what was rehearsed.
            StepFailed: as rehearse.
        """
        return self._run(preview, uri, self.rehearsed_image(preview, detail), detail, main=True)

    def rehearsed_image(self, preview: Preview, detail: Callable[[str], None]) -> Image | None:
        """The image that the rehearsal ran in; asked before main is touched.

        Raises:
            Refused: see promote.
        """
        known = preview.facts.get("image")
        if self._candidates.runtime(preview).kind != "process":
            return Image(reference=known["reference"], id=known["id"]) if known else None
        now = self._candidates.image(preview, detail)
        if known and now and now.id != known["id"]:
            raise Refused(
                f"the app's source was changed after {preview.name} was rehearsed, so its command may be another",
                hint=f"`preview up {preview.name}` rehearses again",
            )
        return now

    def _run(
        self,
        preview: Preview,
        uri: ConnectionURI,
        image: Image | None,
        detail: Callable[[str], None],
        *,
        main: bool,
    ) -> Ran:
        migration, app = self._settings.migration, self._settings.app
        runtime = self._candidates.runtime(preview)
        local = runtime.kind == "process"
        # Main on this machine listens on loopback only: no container but one on the machine's own network gets there.
        beside = main and not local and uri.host in LOOPBACK
        if not main:
            self._candidates.surround(preview, "migrate", uri, detail)
        if not beside:
            uri = self._candidates.reachable(runtime, uri)
        given = {**app.env, **self._candidates.passed_on()} if main else self._candidates.environment(preview)
        spec = TaskSpec(
            name=task_name(preview),
            command=migration.argv,
            image=None if local else image,
            working_directory=self._settings.path(app.context) if local else None,
            environment={
                **{k: v for k, v in given.items() if k != "NEON_API_KEY"},
                **dict.fromkeys(("DATABASE_URL", *migration.url_names), uri.reveal()),
                # Drivers that know nothing of it go without; whoever wants some rows hidden says so itself.
                "PGOPTIONS": " ".join(
                    f"-c {name}={value}"
                    for name, value in {"lock_timeout": migration.lock_timeout_ms, **ALL_ROWS}.items()
                ),
                "PREVIEW_NAME": preview.name,
            },
            labels=labels(preview),
            resources=Resources(memory_bytes=app.memory_bytes, cpus=app.cpus, pids=app.pids),
            timeout_seconds=migration.timeout_seconds,
            host_network=beside,
            private=None if main else self._candidates.private(preview, "migrate", uri),
        )
        shown = migration.command if isinstance(migration.command, str) else " ".join(migration.argv)
        detail(f"running the migration command: {shown}")
        lines: list[str] = []

        def say(line: str) -> None:
            lines.append(line)
            del lines[:-KEPT_LINES]
            detail(f"| {line}")

        began = time.perf_counter()
        try:
            with translating("the migration command"):
                runtime.run(spec, say)
        except StepFailed as error:
            if any(_HIDDEN in line for line in lines):
                error.hint = (
                    f"{ROWS_HIDDEN}; a command that means what it may see says `SET row_security = on`"
                )
            raise
        finally:
            if not main:
                self._candidates.leave(preview, "migrate")
        return Ran(lines=tuple(lines), milliseconds=round((time.perf_counter() - began) * 1000, 1))
