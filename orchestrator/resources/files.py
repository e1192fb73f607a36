"""Kinds of files of previews below $PREVIEW_HOME. Only what bears a preview's derived name is ours."""

import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from orchestrator.lifecycle import Preview
from orchestrator.resources.thing import Kind, Thing, owner_in


class _Files(Kind):
    """Entries of one folder that are named after previews."""

    folder: ClassVar[str]

    def find(self, preview: Preview | None) -> Iterable[Thing]:
        """See Kind.find."""
        root = self._world.home / self.folder
        for path in sorted(root.iterdir()) if root.is_dir() else ():
            owner = owner_in(path.stem)
            if owner is not None and (preview is None or owner == preview.id):
                about = path.lstat()
                yield Thing(
                    kind=self.name,
                    name=f"{self.folder}/{path.name}",
                    key=str(path),
                    owner=owner,
                    # $PREVIEW_HOME is one store's, unless it was given another: then the owner's row decides.
                    created_at=datetime.fromtimestamp(about.st_mtime, UTC),
                    size_bytes=about.st_size if path.is_file() else None,
                )

    def remove(self, thing: Thing) -> None:
        """See Kind.remove."""
        path = Path(thing.key)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


class Picture(_Files):
    """See says."""

    name = "picture"
    says = "of a preview's start page, for the dashboard"
    made_in = ("orchestrator.dashboard.pictures:take",)
    folder = "pictures"


FILES = (Picture,)
