"""Whether this machine's own disk has room: what an error of a full one means. Frees nothing."""

import errno
import shutil

from orchestrator.errors import OrchestratorError, StepFailed
from orchestrator.settings import home

#: PostgreSQL writes its log in pieces of 16 MiB: with less than two of them it may end in the middle of anything.
_LEAST_BYTES = 32 * 2**20
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


def is_full() -> bool:
    """Whether next to nothing is left where our files are."""
    place = home()
    there = next(each for each in (place, *place.parents) if each.exists())
    try:
        return shutil.disk_usage(there).free < _LEAST_BYTES
    except OSError:
        return False


def explained(error: OrchestratorError) -> OrchestratorError:
    """The error, with what to do about a full disk, when that is what is behind it: it hides in other errors' words."""
    if error.exit_code == 1 and is_full():
        error.hint = f"the disk that holds {home()} is full: make room, then run the same command again"
    return error


def no_room(error: OSError) -> OrchestratorError | None:
    """What an error of the operating system says about room; None: it is about something else."""
    if error.errno not in _NO_ROOM:
        return None
    where = f" ({error.filename})" if error.filename else ""
    return StepFailed(
        f"{error.strerror}{where}",
        hint=f"make room where {home()} is, then run the same command again: it goes on",
    )
