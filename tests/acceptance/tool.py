"""A folder with an app and a migration command for the acceptance tests, and the tests' own little migration tool."""

import json
import subprocess
import textwrap
from dataclasses import dataclass, field
from typing import Any

from tests.acceptance.shop import Shop

#: A page of its own, and a migration tool in twenty lines: files in name order, each a transaction, books kept.
APP = """
import http.server, os
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"ok")
    def log_message(self, *args):
        pass
http.server.HTTPServer((os.environ.get("LISTEN", "127.0.0.1"), int(os.environ["PORT"])), Answer).serve_forever()
"""
TOOL = """
import os, pathlib, psycopg
assert "NEON_API_KEY" not in os.environ
print("connecting to", os.environ["DATABASE_URL"])
with psycopg.connect(os.environ["DIRECT_URL"], autocommit=True) as db:
    for name in ("lock_timeout", "row_security"):
        print(name, db.execute(f"show {name}").fetchone()[0])
    db.execute(
        "create table if not exists schema_migrations"
        " (id serial primary key, version text unique, at timestamptz default now())"
    )
    done = {version for (version,) in db.execute("select version from schema_migrations")}
    for file in sorted(pathlib.Path("migrations").glob("*.sql")):
        if file.name not in done:
            print("applying", file.name, flush=True)
            try:
                with db.transaction():
                    db.execute(file.read_text())
                    db.execute("insert into schema_migrations (version) values (%s)", (file.name,))
            except psycopg.Error as error:
                raise SystemExit(str(error))
"""
SETTINGS = """
[project]
name = "{name}"
database = "shop"
[migration]
command = {command}
url_names = ["DIRECT_URL"]
{migration}
[app]
command = ["python", "app.py"]
env = {{ {env} }}
[runtime]
kind = "{runtime}"
{steps}
"""
FIRST = """
create table customers (id bigint generated always as identity primary key, name text not null, fax text);
insert into customers (name, fax) select 'customer ' || n, n::text from generate_series(1, 50) n;
"""


@dataclass
class Tool(Shop):
    """A folder with an app, a migration command and its files.

    Attributes:
        migrate: the migration command.
        passed: the app's and the command's variables.
        runtime: where both run.
    """

    migrate: tuple[str, ...] = ("python", "tool.py")
    passed: dict[str, str] = field(default_factory=dict)
    runtime: str = "process"

    def write(self, migration: str = "", steps: str = "") -> None:
        """Write preview.toml."""
        text = SETTINGS.format(
            name=self.name,
            command=json.dumps(self.migrate),
            env=", ".join(f"{name} = {json.dumps(value)}" for name, value in self.passed.items()),
            runtime=self.runtime,
            migration=migration,
            steps=steps,
        )
        (self.folder / "preview.toml").write_text(text)

    def file(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(textwrap.dedent(text))

    def tool(self, *words: str) -> str:
        """What the command (or another of the same tool) says, run on main by hand as a person would."""
        uri = self.uri()
        done = subprocess.run(
            [self.command()[0], *(words or self.migrate)[1:]],
            cwd=self.folder,
            env=self.env(**self.passed, DATABASE_URL=uri, DIRECT_URL=uri),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def findings(self, shown: dict[str, Any], check: str) -> list[str]:
        return [
            f"{each['severity']} {each['subject']}: {each['message']}"
            for each in shown["report"]["findings"]
            if each["check"] == check
        ]
