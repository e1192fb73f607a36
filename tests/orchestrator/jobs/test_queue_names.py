"""Queues: each project's its own, and a name that PostgreSQL takes as a channel however long the project's key is."""

from orchestrator.jobs.queue import queue_of

#: procrastinate/sql: what it puts before a queue's name.
CHANNEL = "procrastinate_queue_v1#"


def test_a_queue_fits_a_channel_and_is_its_projects_own() -> None:
    names = {
        queue_of(project, kind)
        for project in ("embedded/x", f"https://{'a' * 200}/p")
        for kind in ("previews", "rounds")
    }

    assert len(names) == 4
    assert all(len(f"{CHANNEL}{name}".encode()) < 64 for name in names)
