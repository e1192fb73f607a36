"""`preview init` and `preview doctor` against a Neon at a URL: with flags, at a terminal, with wrong keys."""

import errno
import json
import os
import pty
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from neon_client import Branch, NeonClient, Project
from neon_embedded import Running
from orchestrator.diagnosis import neon_limits

PREVIEW = (sys.executable, "-m", "orchestrator")


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A folder without preview.toml, and a Neon with one project that has a development branch."""

    folder: Path
    running: Running
    project: str
    other: str

    @property
    def key(self) -> str:
        return self.running.api_key.reveal()

    def environment(self, *, key: str | None = None) -> dict[str, str]:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("NEON_", "PREVIEW_"))
        }
        kept |= {"PREVIEW_HOME": str(self.folder / "home"), "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "120"}
        return kept | ({"NEON_API_KEY": key} if key else {})

    def preview(self, *words: str, key: str | None, expect: int) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [*PREVIEW, *words],
            cwd=self.folder,
            env=self.environment(key=key),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == expect, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    def at_a_terminal(
        self, *words: str, key: str | None = None, answers: list[tuple[str, str]]
    ) -> tuple[int, str]:
        """Run with a terminal; each answer is typed when its prompt has come. Exit status and all that was shown."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.folder)
            os.execve(sys.executable, [*PREVIEW, *words], self.environment(key=key))
        shown = ""
        waiting = list(answers)
        while True:
            if waiting and waiting[0][0] in shown.rpartition("\n")[2]:
                os.write(terminal, f"{waiting.pop(0)[1]}\n".encode())
                shown += "\n"
            try:
                read = os.read(terminal, 4096)
            except OSError as error:  # Linux ends a terminal so
                assert error.errno == errno.EIO  # noqa: PT017
                break
            if not read:
                break
            shown += read.decode()
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
        assert not waiting, shown
        return os.waitstatus_to_exitcode(status), shown

    @property
    def written(self) -> dict[str, Any]:
        text = (self.folder / "preview.toml").read_text()
        assert self.key not in text
        return tomllib.loads(text)


@pytest.fixture(scope="module")
def stage(embedded: Running) -> Iterator[tuple[str, str]]:
    with NeonClient(api_key=embedded.api_key, base_url=embedded.base_url) as neon:
        made = neon.create_project(name="winery", database_name="wine")
        neon.create_branch(made.project.id, name="development", parent_id=made.branch.id)
        other = neon.create_project(name="brewery", database_name="beer").project.id
        yield made.project.id, other
        neon.delete_project(made.project.id)
        neon.delete_project(other)


@pytest.fixture
def desk(stage: tuple[str, str], embedded: Running, tmp_path: Path) -> Desk:
    return Desk(folder=tmp_path, running=embedded, project=stage[0], other=stage[1])


def init(desk: Desk, *more: str) -> tuple[str, ...]:
    return ("init", "--neon", desk.running.base_url, *more)


@pytest.mark.parametrize("by", ["name", "id"])
def test_flags_answer_everything(desk: Desk, by: str) -> None:
    project = desk.project if by == "id" else "winery"
    desk.preview(*init(desk, "--project", project, "--database", "wine", "--goal-branch", "development"),
                 key=desk.key, expect=0)  # fmt: skip
    assert desk.written["project"] == {"neon": desk.running.base_url, "id": desk.project, "database": "wine"}
    assert desk.written["goal"] == {"branch": "development"}


def test_a_migration_command_needs_no_goal(desk: Desk) -> None:
    words = init(desk, "--project", "winery", "--database", "wine", "--command", "alembic upgrade 'head'")
    desk.preview(*words, key=desk.key, expect=0)
    assert desk.written["migration"] == {"command": "alembic upgrade 'head'"}
    assert "goal" not in desk.written
    both = desk.preview(*words, "--goal-branch", "development", "--force", key=desk.key, expect=2)
    assert "give one of" in both.stderr


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "--project is missing"),
        (("--project", "no-such"), "there is no Neon project named 'no-such'"),
        (("--project", "winery"), "--database is missing"),
        (("--project", "winery", "--database", "milk"), "main has no database 'milk'"),
        (("--project", "winery", "--database", "wine"), "--goal-branch is missing"),
        (("--project", "winery", "--database", "wine", "--goal-branch", "x"), "there is no branch 'x' beside main"),
        (("--project", "brewery", "--database", "beer"), "no branch beside main"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(desk: Desk, more: tuple[str, ...], said: str) -> None:
    assert said in desk.preview(*init(desk, *more), key=desk.key, expect=2).stderr
    assert not (desk.folder / "preview.toml").exists()


def test_no_key_and_a_wrong_key(desk: Desk) -> None:
    assert "$NEON_API_KEY is not set" in desk.preview(*init(desk), key=None, expect=2).stderr
    refused = desk.preview(*init(desk), key="open-sesame", expect=1).stderr
    assert "authentication failed" in refused
    assert "open-sesame" not in refused


def test_choosing_at_a_terminal(desk: Desk) -> None:
    status, shown = desk.at_a_terminal(
        *init(desk),
        answers=[("key:", desk.key), ("number or name", desk.project), ("number or name", ""), ("number or name", "1")],
    )  # fmt: skip
    assert status == 0, shown
    assert desk.key not in shown
    assert "winery, PostgreSQL" in shown
    assert "development" in shown
    assert "the key was not kept: export NEON_API_KEY" in shown
    assert desk.written["project"] == {"neon": desk.running.base_url, "id": desk.project, "database": "wine"}
    assert desk.written["goal"] == {"branch": "development"}


def test_a_wrong_choice_is_asked_again(desk: Desk) -> None:
    status, shown = desk.at_a_terminal(
        *init(desk, "--project", "winery", "--database", "wine"),
        key=desk.key,
        answers=[("number or name", "7"), ("number or name", "development")],
    )
    assert status == 0, shown
    assert "there is no '7'" in shown


def doctor(desk: Desk, *, key: str | None, expect: int) -> dict[str, dict[str, str]]:
    results = json.loads(desk.preview("doctor", "--json", key=key, expect=expect).stdout)
    return {result["subject"]: result for result in results}


def settings(desk: Desk) -> None:
    (desk.folder / "preview.toml").write_text(
        f'[project]\nneon = "{desk.running.base_url}"\nid = "{desk.project}"\ndatabase = "wine"\n'
        '[goal]\nbranch = "development"\n[app]\ncommand = ["true"]\n'
    )


def test_doctor_says_what_it_means_for_previews(desk: Desk) -> None:
    settings(desk)
    found = doctor(desk, key=desk.key, expect=0)
    assert found["Neon API key"]["message"] == (
        "accepted, a person's; it reaches whole projects, so no preview ever gets it"
    )
    assert found["restore window"]["status"] == "ok"
    assert found["protected branches"]["status"] == "note"
    assert "`preview up` changes at once" in found["protected branches"]["message"]
    assert found["plan limits"]["message"].startswith("2 of 1000 branches")


@pytest.mark.parametrize("key", [None, "open-sesame"])
def test_doctor_without_a_good_key(desk: Desk, key: str | None) -> None:
    settings(desk)
    found = doctor(desk, key=key, expect=1)
    assert found["Neon API key"]["status"] == "missing"
    assert "NEON_API_KEY" in found["Neon API key"]["message"] + found["Neon API key"]["mend"]
    assert "plan limits" not in found


def branch(name: str, **values: Any) -> Branch:
    return Branch.from_json({"id": f"br-{name}", "project_id": "p", "name": name, **values})


MAIN = branch("main", default=True, protected=True)


def limits(seconds: int, limit: int | None, *branches: Branch) -> dict[str, tuple[str, str, str]]:
    owner = {} if limit is None else {"owner": {"branches_limit": limit}}
    project = Project.from_json({"id": "p", "name": "p", "history_retention_seconds": seconds, **owner})
    return {each.subject: (each.status, each.message, each.mend) for each in neon_limits(project, branches)}


def test_the_restore_window() -> None:
    assert limits(0, 10, MAIN)["restore window"][:2] == (
        "note",
        "off: after a promotion only its own restore point leads back, no other moment does",
    )
    assert limits(6 * 3600, 10, MAIN)["restore window"][:2] == (
        "note",
        "6 hours: a mistake that is noticed later than that cannot be taken back by Neon",
    )
    assert limits(7 * 86_400, 10, MAIN)["restore window"][1].startswith("7 days")


def test_protection() -> None:
    status, message, _ = limits(1, 10, MAIN, branch("staging", protected=True))["protected branches"]
    assert (status, message[:33]) == ("ok", "main is protected (staging too): ")
    status, message, mend = limits(1, 10, branch("main", default=True))["protected branches"]
    assert (status, message[:24], bool(mend)) == ("note", "none; main is not: branc", True)


def test_room_for_previews() -> None:
    old = branch("preview/pr-1", parent_id="br-main", created_at="2026-01-01T00:00:00Z")
    new = branch("other", parent_id="br-main", created_at="2026-02-01T00:00:00Z")
    assert limits(1, 10, MAIN, new, old)["plan limits"][0] == "ok"
    status, message, mend = limits(1, 4, MAIN, new, old)["plan limits"]
    assert (status, "room for one more" in message) == ("note", True)
    assert mend == "discard what is not needed, oldest first: preview/pr-1, other"
    assert limits(1, 3, MAIN, new, old)["plan limits"][0] == "missing"
    assert limits(1, 1, MAIN)["plan limits"][2].startswith("raise the plan's limit")
    assert "was not looked at" in limits(1, None, MAIN)["plan limits"][1]
