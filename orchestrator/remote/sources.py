"""An app's sources, packed and sent: once for each content. Changes nothing in the folder."""

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from orchestrator.errors import TooLarge, UsageError
from orchestrator.remote.wire import Wire
from orchestrator.settings import Settings
from orchestrator.steps.border import translating

_PART = 2**18


def send_sources(
    wire: Wire, settings: Settings, *, dockerfile: str, most: int, detail: Callable[[str], None]
) -> str:
    """Send what `app.context` holds, less what its .dockerignore names; returns its SHA-256.

    Args:
        wire: to the server.
        settings: this folder's own.
        dockerfile: as the server's settings name it: it is not ignored.
        most: the most bytes that the server takes.
        detail: told what is being done.

    Raises:
        UsageError: there is no such folder.
        TooLarge: they are more than the server takes; names the largest files.
        StepFailed: a file cannot be read.
    """
    from preview.source import write_archive

    folder = settings.path(settings.app.context)
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", hint="see [app] context in preview.toml")
    with tempfile.TemporaryFile() as file:
        with translating("packing the app's sources"):
            write_archive(folder, dockerfile, None, file)
        size = file.tell()
        if size > most:
            raise TooLarge(
                f"the app's sources take {size} bytes, and the server takes {most}",
                hint="name what the build does not need in .dockerignore",
                detail="\n".join(_largest(folder)),
            )
        file.seek(0)
        total = hashlib.sha256()
        while part := file.read(_PART):
            total.update(part)
        digest = total.hexdigest()
        if not wire.get(f"/contexts/{digest}")["here"]:
            detail(f"sending the app's sources, {size} bytes")

            def content() -> Iterator[bytes]:
                file.seek(0)
                return iter(lambda: file.read(_PART), b"")

            wire.call("PUT", f"/contexts/{digest}", content=content, headers={"content-length": str(size)})
    return digest


def _largest(folder: Path, count: int = 5) -> list[str]:
    """The largest files of a folder, with their sizes."""
    sizes = sorted(
        (
            (path.lstat().st_size, path)
            for path in folder.rglob("*")
            if path.is_file() and not path.is_symlink()
        ),
        reverse=True,
    )
    return [f"{size:>12}  {path.relative_to(folder)}" for size, path in sizes[:count]]
