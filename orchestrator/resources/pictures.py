"""Folders in which a browser takes pictures: made, held while anything works there, found, removed. Takes none."""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.lifecycle import Preview
from orchestrator.resources.thing import Kind, Thing, owner_in
from preview.alone import alone_in

_WHERE = "pictures"


@contextmanager
def picture_folder(home: Path, slug: str) -> Iterator[tuple[Path, int]]:
    """A folder for one picture of a preview, removed at the end; and what holds it, which its lifeline is to hold, too.

    When we are killed nobody holds it any more as soon as the browser has ended: then it is found, and removed.
    """
    root = home / _WHERE
    # 0711: the browser's own account passes through; nobody lists.
    root.mkdir(mode=0o711, parents=True, exist_ok=True)
    folder = root / f"{slug}-{secrets.token_hex(6)}"
    with alone_in(root):
        folder.mkdir(mode=0o700)
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(held, fcntl.LOCK_EX)
    try:
        yield folder, held
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def tidy(home: Path) -> None:
    """Remove the folders of those who were killed; those of the living stay."""
    for folder in _left(home):
        shutil.rmtree(folder, ignore_errors=True)


def _left(home: Path) -> list[Path]:
    """The folders that nobody holds."""
    root = home / _WHERE
    if not root.is_dir():
        return []
    # Whoever makes one is done with it here: each is held, or its maker is dead.
    with alone_in(root):
        return [each for each in sorted(root.iterdir()) if each.is_dir() and not _is_held(each)]


def _is_held(folder: Path) -> bool:
    with suppress(FileNotFoundError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
    return False


class PictureFolder(Kind):
    """See says."""

    name = "picture folder"
    says = "where a server that was killed took a picture of an app's page, in $PREVIEW_HOME/pictures"
    made_in = ("orchestrator.resources.pictures:picture_folder",)
    leftover = "left by a server that was killed"

    def find(self, preview: Preview | None) -> Iterable[Thing]:
        """See Kind.find."""
        for each in _left(self._world.home):
            owner = owner_in(each.name)
            if preview is None or owner == preview.id:
                with suppress(FileNotFoundError):
                    made = datetime.fromtimestamp(each.stat().st_mtime, UTC)
                    yield Thing(kind=self.name, name=each.name, key=each.name, owner=owner, created_at=made)

    def remove(self, thing: Thing) -> None:
        """See Kind.remove."""
        shutil.rmtree(self._world.home / _WHERE / thing.key, ignore_errors=True)
