"""Around the store: who writes, and what it means when its connection is lost. Reads and writes nothing."""

import getpass
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from orchestrator.errors import DatabaseUnreachable


def whoami() -> str:
    """The person and machine for events: ``user@host``."""
    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        user = f"uid{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def patient(say: Callable[[str], None], seconds: float) -> Callable[[str], bool]:
    """What to do while another process holds a lease (see `Store.lease`): say so once, wait a little, give up.

    Args:
        say: is told one line, once.
        seconds: how long to go on asking.
    """
    until = time.monotonic() + seconds
    told = False

    def wait(holder: str) -> bool:
        nonlocal told
        if time.monotonic() > until:
            return False
        if not told:
            say(f"  waiting for {holder}")
            told = True
        time.sleep(0.1)
        return True

    return wait


@contextmanager
def losing_store() -> Iterator[None]:
    """Turn a lost connection to the store into DatabaseUnreachable, whatever was under way."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        if _interrupted(error):
            raise KeyboardInterrupt from None  # Ctrl-C in the middle of a query: the connection is of no use now
        first = str(error).strip().split("\n", 1)[0]
        raise DatabaseUnreachable(
            f"lost the connection to the store: {first}", hint="nothing is lost: run the same command again"
        ) from error


def _interrupted(error: BaseException) -> bool:
    """Whether an error came up while a Ctrl-C was on its way out."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, KeyboardInterrupt):
            return True
        cause = cause.__context__
    return False
