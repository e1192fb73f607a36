"""What was put into production under one key, as files: one a version, one that says which runs. Starts nothing."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from preview.errors import PreviewError
from preview.spec import Image
from preview.supervise import write_atomically

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LIVE = "live"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A version that was, or is to be, in production.

    Attributes:
        id: unique for the key; names are derived from it.
        runtime: `docker` or `process`; empty when somebody else runs it.
        image: what runs; a local process has its source's content address here.
        folder: where a local process runs: a copy of its own; None for a container.
        command: the program and its arguments; empty: the image's own.
        at: when it was asked for, ISO 8601.
        preview: where it was previewed; empty when it never was.
        left: when another version took its place, ISO 8601; empty: never, or it was not noted.
    """

    id: str
    runtime: str = ""
    image: Image | None = None
    folder: str | None = None
    command: tuple[str, ...] = ()
    at: str = ""
    preview: str = ""
    left: str = ""

    def to_json(self) -> dict[str, Any]:
        """All attributes by name."""
        image = {"reference": self.image.reference, "id": self.image.id} if self.image else None
        return {
            "id": self.id,
            "runtime": self.runtime,
            "image": image,
            "folder": self.folder,
            "command": list(self.command),
            "at": self.at,
            "preview": self.preview,
            "left": self.left,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Release":
        """The reverse of to_json."""
        return cls(
            id=value["id"],
            runtime=value["runtime"],
            image=Image(**value["image"]) if value["image"] else None,
            folder=value["folder"],
            command=tuple(value["command"]),
            at=value["at"],
            preview=value["preview"],
            left=value.get("left", ""),
        )


class Released:
    """The versions of one key, in one folder.

    Attributes:
        folder: made when the first is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def live(self) -> Release | None:
        """The version that production runs; None before the first."""
        return self._read(_LIVE)

    def known(self, release_id: str) -> Release | None:
        """A version as it was put into production; None when it is not kept (any more)."""
        return self._read(release_id) if _ID.fullmatch(release_id) and release_id != _LIVE else None

    def all(self) -> tuple[Release, ...]:
        """Every version that is kept, oldest first."""
        names = (path.stem for path in self.folder.glob("*.json") if path.stem != _LIVE)
        found = (self._read(name) for name in names)
        return tuple(sorted((each for each in found if each), key=lambda each: (each.at, each.id)))

    def remember(self, release: Release) -> None:
        """Write down a version that is about to be put into production."""
        self._write(release.id, release)

    def went_live(self, release: Release) -> None:
        """Write down that production runs it now, and of the one before it that it does not any more."""
        before = self.live
        if before is not None and before.id != release.id:
            self.remember(replace(before, left=datetime.now(UTC).isoformat(timespec="microseconds")))
        self._write(_LIVE, release)

    def nothing_lives(self) -> None:
        """Write down that production runs none of them."""
        (self.folder / f"{_LIVE}.json").unlink(missing_ok=True)

    def forget(self, release: Release) -> None:
        """The reverse of remember."""
        (self.folder / f"{release.id}.json").unlink(missing_ok=True)

    def _write(self, name: str, release: Release) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(self.folder / f"{name}.json", release.to_json())

    def _read(self, name: str) -> Release | None:
        file = self.folder / f"{name}.json"
        try:
            return Release.from_json(json.loads(file.read_text(encoding="utf-8")))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise PreviewError(
                f"{file} cannot be understood", hint="restore it, or remove it and release again"
            ) from error
