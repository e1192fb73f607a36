"""Previews and promotions in this process: real Neon server, PostgreSQL and diary; only the app is not started."""

import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from neon_client import NeonClient
from neon_embedded import Running
from orchestrator.bootstrap import Assembly, assemble
from orchestrator.lifecycle import Preview, Promotion, State
from orchestrator.settings import load
from orchestrator.steps.compatibility import Compatibility
from orchestrator.steps.discard import DiscardStep
from orchestrator.steps.launch import Candidates

SETTINGS = """
[project]
name = "{name}"
database = "shop"
role = "shop_owner"
[goal]
branch = "development"
[app]
command = ["true"]
[runtime]
kind = "process"
[migration]
prove_reverse = false
{migration}
[promote]
allow = ["deletes_data"]
{promote}
"""


@dataclass
class Told:
    """An observer that remembers."""

    details: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    on_detail: Callable[[str], None] = lambda _text: None

    def started(self, preview: Preview) -> None: ...
    def detail(self, text: str) -> None:
        self.details.append(text)
        self.on_detail(text)

    def finished(self, preview: Preview, state: State, note: str, milliseconds: float) -> None:
        self.notes.append(note)

    def failed(self, preview: Preview, state: State, message: str, milliseconds: float) -> None:
        self.notes.append(message)


@dataclass
class Yard:
    """A project with a main and a development branch, and everything assembled on it.

    Attributes:
        name: the project's.
        folder: where preview.toml is.
        neon: the client.
        apps: URLs of apps that are up, by preview id.
        told: what the steps said.
    """

    name: str
    folder: Path
    neon: NeonClient
    apps: dict[str, str]
    told: Told = field(default_factory=Told)

    def settings(self, *, promote: str = "", migration: str = "") -> None:
        text = SETTINGS.format(name=self.name, promote=promote, migration=migration)
        (self.folder / "preview.toml").write_text(text)

    @contextmanager
    def open(self) -> Iterator[Assembly]:
        with assemble(load(self.folder / "preview.toml"), self.told) as rooms:
            yield rooms

    @property
    def project_id(self) -> str:
        return next(project.id for project in self.neon.projects(search=self.name))

    def uri(self, branch: str | None = None, role: str = "shop_owner") -> str:
        found = (
            self.neon.find_branch(self.project_id, branch)
            if branch
            else self.neon.default_branch(self.project_id)
        )
        assert found is not None
        return self.neon.connection_uri(
            self.project_id, branch_id=found.id, database="shop", role=role
        ).reveal()

    def connect(self, branch: str | None = None) -> "AbstractContextManager[psycopg.Connection[Any]]":
        return psycopg.connect(self.uri(branch), autocommit=True)

    def main(self, sql: str) -> list[tuple[Any, ...]]:
        return self.on(None, sql)

    def on(self, branch: str | None, sql: str) -> list[tuple[Any, ...]]:
        with self.connect(branch) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def both(self, sql: str) -> None:
        self.main(sql)
        self.on("development", sql)

    def up(self, name: str = "pr-1", **answers: str) -> Preview:
        with self.open() as rooms:
            return rooms.controller.up(name, answers=answers)

    def promote(self, name: str = "pr-1", **more: Any) -> Preview:
        with self.open() as rooms:
            return rooms.controller.promote(name, **{"allow": [], "keep": False, **more})

    def last(self) -> Promotion:
        with self.open() as rooms:
            return rooms.store.promotions(rooms.project.key).all()[-1]

    def branches(self) -> list[str]:
        return sorted(each.name for each in self.neon.branches(self.project_id))


@pytest.fixture
def make_yard(
    embedded: Running,
    enterable: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    no_preview_environment: None,
) -> Iterator[Callable[..., Yard]]:
    monkeypatch.setenv("PREVIEW_HOME", str(enterable / "embedded"))
    apps: dict[str, str] = {}

    def start(candidates: Any, preview: Preview, *_: Any) -> str:
        apps[preview.id] = f"http://127.0.0.1/{preview.id}"
        return apps[preview.id]

    def ended(really: Callable[..., Any]) -> Callable[..., Any]:
        def run(it: Any, preview: Preview, *rest: Any) -> Any:
            done = really(it, preview, *rest)
            apps.pop(preview.id, None)
            return done

        return run

    monkeypatch.setattr(Candidates, "start", start)
    monkeypatch.setattr(Candidates, "withdraw", ended(Candidates.withdraw))
    monkeypatch.setattr(DiscardStep, "run", ended(DiscardStep.run))
    monkeypatch.setattr(Compatibility, "run", lambda *_: ((), ()))
    made: list[Yard] = []
    with NeonClient(api_key=embedded.api_key, base_url=embedded.base_url) as neon:

        def make(schema: str) -> Yard:
            name = f"yard-{zlib.crc32(request.node.nodeid.encode())}-{len(made)}"
            project = neon.create_project(name=name, database_name="shop", role_name="shop_owner").project
            folder = tmp_path / f"yard{len(made)}"
            folder.mkdir()
            yard = Yard(name=name, folder=folder, neon=neon, apps=apps)
            made.append(yard)
            yard.settings()
            if schema:
                yard.main(schema)
            neon.create_branch(project.id, name="development", parent_id=neon.default_branch(project.id).id)
            return yard

        yield make
        for yard in made:
            yard.told.on_detail = lambda _text: None
            with yard.open() as rooms:
                for each in rooms.store.live():
                    if each.project == rooms.project.key and not each.shadow:
                        rooms.controller.discard(each.name, force=True)
            neon.delete_project(yard.project_id)
