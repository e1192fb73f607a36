"""Reads a source tree and its .dockerignore. Changes nothing in it, asks no engine."""

import hashlib
import io
import os
import shutil
import tarfile
from pathlib import Path
from typing import IO

from preview.errors import BuildFailed

_NEVER = [".git", "**/__pycache__", "**/.venv", "**/node_modules"]
"""What a process's content address leaves out besides .dockerignore: it changes by running, not by editing."""


def ignore_patterns(context: Path, dockerfile: str) -> list[str]:
    """The lines of `DOCKERFILE.dockerignore`, else of `.dockerignore`; BuildKit's own order."""
    for candidate in (context / f"{dockerfile}.dockerignore", context / ".dockerignore"):
        if candidate.is_file():
            lines = (
                line.strip() for line in candidate.read_text(encoding="utf-8", errors="replace").splitlines()
            )
            return [line for line in lines if line and not line.startswith("#")]
    return []


def tree_hash(context: Path, dockerfile: str) -> str:
    """SHA-256 over every file's path, kind, executable bit and content, in the order of paths.

    Raises:
        BuildFailed: there is no such folder, or a file cannot be read.
    """
    from docker.utils.build import exclude_paths

    if not context.is_dir():
        raise BuildFailed(f"there is no folder {context} to run", hint="see `context` in the settings")
    patterns = [*ignore_patterns(context, dockerfile), *_NEVER]
    total = hashlib.sha256()
    try:
        for relative in sorted(exclude_paths(str(context), patterns, dockerfile=dockerfile)):
            path = context / relative
            if path.is_symlink():
                kind, content = b"l", os.fsencode(path.readlink())
            elif path.is_file():
                kind, content = (b"x" if os.access(path, os.X_OK) else b"f"), path.read_bytes()
            else:
                continue
            for part in (os.fsencode(relative), kind, content):
                total.update(len(part).to_bytes(8))
                total.update(part)
    except OSError as error:
        raise BuildFailed(f"cannot read {error.filename}: {error.strerror}") from error
    return total.hexdigest()


def copy_tree(context: Path, to: Path) -> None:
    """Copy a folder to a place that is not there yet, all but Git's own; links stay links.

    What .dockerignore leaves out comes too: a local process may need its node_modules.

    Raises:
        BuildFailed: a file cannot be read, or the copy not be written.
    """
    try:
        shutil.copytree(context, to, symlinks=True, ignore=shutil.ignore_patterns(".git", "__pycache__"))
    except (OSError, shutil.Error) as error:
        raise BuildFailed(
            f"{context} cannot be copied to {to}: {error}", hint="make room, or mend its files"
        ) from error


def write_archive(context: Path, dockerfile: str, outside: str | None, to: IO[bytes]) -> None:
    """Write the tree as the tar archive that the engine builds from.

    Owners become root, as the docker command does it, so that the same tree gives the same image for everybody.

    Args:
        context: the folder.
        dockerfile: the Dockerfile's name inside the archive.
        outside: the Dockerfile's text where it lies outside of the folder; None where it is part of it.
        to: where to write.

    Raises:
        BuildFailed: a file cannot be read.
    """
    from docker.utils.build import exclude_paths

    # GNU format: the engine looks at the first kilobyte to tell an archive from a Dockerfile, and takes an archive
    # that begins with a PAX header (Python's default, for fractions of seconds) for a Dockerfile.
    with tarfile.open(fileobj=to, mode="w", format=tarfile.GNU_FORMAT) as archive:
        if outside is not None:
            content = outside.encode()
            entry = tarfile.TarInfo(dockerfile)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        try:
            for relative in sorted(
                exclude_paths(str(context), ignore_patterns(context, dockerfile), dockerfile=dockerfile)
            ):
                if (context / relative).is_socket():  # tar has no entry for it
                    continue
                found = archive.gettarinfo(str(context / relative), arcname=relative)
                found.uid = found.gid = 0
                found.uname = found.gname = ""
                found.mtime = int(found.mtime)
                if found.isfile():
                    with (context / relative).open("rb") as file:
                        archive.addfile(found, file)
                else:
                    archive.addfile(found)
        except OSError as error:
            raise BuildFailed(
                f"cannot read {error.filename or context}: {error.strerror or error}"
            ) from error
