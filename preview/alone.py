"""One at a time in a folder: a lock that may be handed on to a child. Knows nothing of what is done there."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone_in(folder: Path) -> Iterator[int]:
    """Hold a folder's lock, and make the folder when it is not there; yields the lock's descriptor.

    It is closed, never unlocked: a child that was given it holds it until it closes it, too.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
