"""Where foreign errors become ours: Neon's, the runtime's and psycopg's, translated once. Does nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from neon_client.errors import NeonError
from orchestrator.database import ROWS_HIDDEN, hides_rows
from orchestrator.errors import DatabaseUnreachable, StepFailed
from preview.errors import PreviewError


@contextmanager
def translating(doing: str) -> Iterator[None]:
    """Run a block; what Neon, the runtime or a database connection raises comes out as a StepFailed.

    Args:
        doing: what was under way, for the message: ``making branch preview/pr-1-0123abcd``.
    """
    try:
        yield
    except NeonError as error:
        raise StepFailed(f"{doing}: {error.message}", hint=error.hint) from error
    except PreviewError as error:
        tail = "\n".join(getattr(error, "log_tail", ()))
        raise StepFailed(f"{doing}: {error.message}", hint=error.hint, detail=tail) from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise DatabaseUnreachable(
            f"{doing}: the database connection broke: {_first_line(error)}",
            hint="run the same command again: it goes on where this one stopped",
        ) from error
    except psycopg.Error as error:
        raise StepFailed(
            f"{doing}: PostgreSQL says {error.sqlstate}: {_first_line(error)}",
            hint=ROWS_HIDDEN if hides_rows(error) else "",
        ) from error


def _first_line(error: BaseException) -> str:
    """The message without DETAIL and CONTEXT lines, which may hold row values."""
    return str(error).strip().split("\n", 1)[0]
