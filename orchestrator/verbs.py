"""What all verbs on previews of one project share: whose they are, and how one is looked up. Decides nothing."""

from collections.abc import Callable

from orchestrator.approval import Guards
from orchestrator.errors import UnknownPreview, UsageError
from orchestrator.hooks import Hooks
from orchestrator.lifecycle import Engine, Preview, State, Store
from orchestrator.lifecycle.lease import Lease
from orchestrator.settings import check_name


class Verbs:
    """Verbs on previews of one project.

    Args:
        store: the diary.
        project: the project's key, ``where/id``.
        engine: runs steps.
        hooks: see Hooks.
        guards: what a yes must get past.
        wait: asked while another process holds a preview's lease; see `Store.lease`.
    """

    def __init__(
        self,
        *,
        store: Store,
        project: str,
        engine: Engine,
        hooks: Hooks,
        guards: Guards,
        wait: Callable[[str], bool] = lambda _holder: False,
    ) -> None:
        self._store = store
        self._project = project
        self._engine = engine
        self._hooks = hooks
        self._guards = guards
        self._wait = wait

    def show(self, name: str) -> Preview:
        """The live preview of this name.

        Raises:
            UnknownPreview: there is none; names what there is.
        """
        check_name(name)
        found = self._store.find(name)
        if found is None:
            live = [preview.name for preview in self._store.live()]
            raise UnknownPreview(
                f"there is no preview {name!r}",
                hint=f"live previews: {', '.join(live)}" if live else f"`preview up {name}` makes it",
            )
        return found

    def mine(self, name: str) -> Preview:
        """The live preview of this name, which must be of this project.

        Raises:
            UnknownPreview: there is none.
            UsageError: it is another project's.
        """
        preview = self.show(name)
        if preview.project != self._project:
            raise UsageError(
                f"{preview.name} is a preview of project {preview.project}, not of {self._project}",
                hint="run this beside that project's preview.toml",
            )
        return preview

    def _close(self, lease: Lease, preview: Preview) -> Preview:
        """Remove everything of the preview, or go on with removing it."""
        if preview.state is not State.DISCARDING:
            self._store.record(lease, to=State.DISCARDING, kind="step", note="discarding")
        return self._engine.run_until_rest(lease)


def failed_in(preview: Preview) -> State | None:
    """The working state that a failed preview failed in."""
    if preview.state is not State.FAILED or not preview.error:
        return None
    return State(preview.error["state"])
