"""What a runtime has on this machine, as values: containers, processes, images, networks, folders. Removes nothing."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

What = Literal["container", "process", "image", "network", "volume", "folder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Belonging:
    """One thing of ours.

    Attributes:
        what: which sort of thing.
        name: what it is called: a name, an image's tag or id.
        labels: those that it was made with.
        created_at: UTC; None where nobody knows.
        size_bytes: on disk; None where nobody counted.
        state: `running`, `exited`, ...; empty where that says nothing.
    """

    what: What
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    created_at: datetime | None = None
    size_bytes: int | None = None
    state: str = ""


def folders(root: Path) -> Iterator[Belonging]:
    """The folders under `root`, with what lies in them."""
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        # One that goes away while we look is simply not there.
        with suppress(FileNotFoundError):
            if path.is_dir():
                yield Belonging(
                    what="folder",
                    name=path.name,
                    created_at=datetime.fromtimestamp(path.stat().st_mtime, UTC),
                    size_bytes=sum(each.lstat().st_size for each in path.rglob("*")),
                )


def moment(text: str | None) -> datetime | None:
    """A moment as a Docker engine writes it; it gives more digits of a second than Python reads."""
    with suppress(ValueError):
        return datetime.fromisoformat(re.sub(r"\.\d+", "", text or ""))
    return None
