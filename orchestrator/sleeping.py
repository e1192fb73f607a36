"""Sleep and wake: a preview that nobody asks for gives its memory back. Knows no gateway; moves no preview's state.

A preview that sleeps is as ready as before: the fact `sleeping_since` says so. It is written before the app is
stopped and removed after it is healthy again, so that whatever dies in between, the next who asks wakes it.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from orchestrator.errors import Busy, Refused, UsageError
from orchestrator.lifecycle import Preview, State, Store, Wanted
from orchestrator.lifecycle.lease import Lease
from orchestrator.lifecycle.visits import Visits
from orchestrator.steps.launch import Candidates
from orchestrator.steps.project import NeonProject
from preview.traffic import open_connections

_RESTING = (State.READY, State.PROMOTED)


class Sleeping:
    """Puts previews of one project to sleep and wakes them.

    Args:
        store: the diary.
        visits: when previews were last asked for.
        project: whose previews.
        candidates: what runs.
        detail: is told what is done.
        wait: asked while another process holds a preview's lease; see `Store.lease`.
    """

    def __init__(
        self,
        store: Store,
        visits: Visits,
        project: NeonProject,
        candidates: Candidates,
        *,
        detail: Callable[[str], None] = lambda _text: None,
        wait: Callable[[str], bool] = lambda _holder: False,
    ) -> None:
        self._store = store
        self._visits = visits
        self._project = project
        self._candidates = candidates
        self._detail = detail
        self._wait = wait

    def sleep(self, preview_id: str, *, why: str = "asked for") -> Preview:
        """Put a preview to sleep; one that sleeps already is fine.

        Raises:
            Refused: it is not at rest, or has no app.
            Busy: it is being worked on.
        """
        with self._store.lease(preview_id, wait=self._wait) as lease:
            return self._sleep(lease, self._resting(preview_id, "sleep"), why)

    def _sleep(self, lease: Lease, preview: Preview, why: str) -> Preview:
        if not preview.facts.get("sleeping_since"):
            since = datetime.now(UTC).isoformat(timespec="seconds")
            preview = self._remember(lease, preview, since, "asleep", why)
        self._candidates.sleep(preview)
        return preview

    def wake(self, preview_id: str, *, why: str = "asked for") -> Preview:
        """Wake a preview, and return when it is healthy; one that is awake is fine.

        Raises:
            Refused: it is not at rest, or has no app.
            Busy: it is being worked on.
            StepFailed: it does not get healthy again; it counts as asleep then.
        """
        with self._store.lease(preview_id, wait=self._wait) as lease:
            preview = self._resting(preview_id, "wake")
            if not preview.facts.get("sleeping_since"):
                return preview
            branch = preview.facts["branch"]["id"]
            url = self._candidates.wake(preview, lambda: self._project.uri(branch), self._detail)
            self._visits.write({preview.id: datetime.now(UTC)})
            return self._remember(lease, preview, None, "awake", why, url=url)

    def put_idle_to_sleep(self, after: timedelta, now: datetime | None = None) -> tuple[str, ...]:
        """Put those to sleep that nobody has asked for in so long, and that have no open connection.

        One that is being worked on is left for the next time.

        Returns:
            Their names.
        """
        now = now or datetime.now(UTC)
        names = []
        for preview in self._store.live():
            if preview.project != self._project.key or not self._is_idle(preview, now - after):
                continue
            try:
                with self._store.lease(preview.id) as lease:
                    # Looked at again: it may have been asked for since.
                    fresh = self._store.get(preview.id)
                    if self._is_idle(fresh, now - after):
                        minutes = round(after.total_seconds() / 60)
                        self._sleep(lease, fresh, f"nobody asked for it in {minutes} minutes")
                        names.append(preview.name)
            except Busy:
                continue
        return tuple(names)

    def _is_idle(self, preview: Preview, since: datetime) -> bool:
        if _why_not(preview) or preview.facts.get("sleeping_since"):
            return False
        last = max(self._visits.last().get(preview.id, preview.updated_at), preview.updated_at)
        if last > since:
            return False
        # An open page may hold a websocket for hours without asking for anything new.
        return not open_connections(urlsplit(preview.facts["url"]).port or 0)

    def _resting(self, preview_id: str, what: str) -> Preview:
        preview = self._store.get(preview_id)
        if preview.project != self._project.key:
            raise UsageError(
                f"{preview.name} is a preview of project {preview.project}, not of {self._project.key}",
                hint=f"`preview {what} {preview.name}` beside that project's preview.toml",
            )
        if reason := _why_not(preview):
            raise Refused(
                f"{preview.name} cannot {what}: {reason}", hint=f"`preview show {preview.name}` says more"
            )
        return preview

    def _remember(
        self, lease: Lease, preview: Preview, since: str | None, kind: str, why: str, url: str | None = None
    ) -> Preview:
        return self._store.record(
            lease,
            to=preview.state,
            kind=kind,
            note=why,
            facts={"sleeping_since": since, **({"url": url} if url else {})},
            error=preview.error,
        )


def _why_not(preview: Preview) -> str | None:
    """Why a preview can neither sleep nor wake, or None."""
    if preview.state not in _RESTING:
        return f"it is {preview.state}"
    if preview.wanted is Wanted.CLOSED:
        return "it is being discarded"
    return None if preview.facts.get("url") else "it has no app"
