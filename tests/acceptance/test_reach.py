"""What a developer sends runs in a container, and from there nothing of production or the server is reached."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg
import pytest

from neon_embedded import ensure_running
from tests.acceptance.test_server import Server, everything_that_can_be_read, secrets_of
from tests.acceptance.tool import Tool

#: An app that tries what it is told to, from inside.
APP = """
import http.server, json, os, pathlib, socket, urllib.parse
def reach(host, port):
    # PostgreSQL, SMTP and HTTP all say something to this.
    with socket.create_connection((host, int(port)), 2) as there:
        there.sendall(b"\\0\\0\\0\\x08\\x04\\xd2\\x16\\x2f\\r\\n\\r\\n")
        try:
            return "answered" if there.recv(1) else "connected"
        except OSError:
            return "connected"
def gateway():
    octets = socket.gethostbyname(socket.gethostname()).split(".")
    return ".".join([*octets[:3], str(int(octets[3]) - 1)])
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        what, _, rest = self.path[1:].partition("/")
        try:
            if what == "reach":
                said = reach(*rest.rsplit(":", 1))
            elif what == "seen":
                said = json.dumps({
                    "environment": dict(os.environ),
                    "first": pathlib.Path("/proc/1/environ").read_bytes().decode(),
                    "gateway": gateway(),
                    "address": socket.gethostbyname(socket.gethostname()),
                    "sockets": [path for path in ("/var/run/docker.sock", "/run/docker.sock") if os.path.exists(path)],
                    "mounts": pathlib.Path("/proc/mounts").read_text(),
                })
            else:
                said = "ok"
        except OSError as error:
            said = repr(error)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(said.encode())
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Answer).serve_forever()
"""
SETTINGS = """
[project]
name = "{name}"
database = "shop"
[goal]
directory = "goal"
[app]
command = ["python3", "app.py"]
[runtime]
kind = "{runtime}"
[safety]
egress = "{egress}"
"""
#: An app that tells all it knows and dies: what it said is in the error.
TELLTALE = """
import os, pathlib
for line in pathlib.Path("/proc/1/environ").read_bytes().split(b"\\0"):
    print(line.decode())
for name, value in sorted(os.environ.items(), reverse=True):
    print(name, value)
raise SystemExit("DATABASE_URL is " + os.environ["DATABASE_URL"])
"""
DOCKERFILE = 'FROM preview-base:python3\nCOPY app.py ./\nCMD ["python3", "app.py"]\n'


@pytest.fixture
def server(blank_tool: Tool) -> Iterator[Server]:
    tool = blank_tool
    tool.file("app.py", "raise SystemExit('the server has an app of its own')")
    tool.file("goal/1.sql", "create table customers (id int primary key);")
    (tool.folder / "preview.toml").write_text(
        SETTINGS.format(name=tool.name, runtime="docker", egress="closed")
    )
    tool.on(tool.uri(), "create table customers (id int primary key); insert into customers values (1)")
    made = Server(shop=tool)
    made.start("serve", "--port", "0", "--workers", "2")
    try:
        yield made
    finally:
        for process in made.processes:
            process.terminate()
            process.wait(timeout=60)


def addresses_of_this_machine() -> list[str]:
    said = subprocess.run(["ip", "-4", "-j", "address"], capture_output=True, check=False).stdout
    found = [each["local"] for link in json.loads(said or "[]") for each in link["addr_info"]]
    return sorted({"127.0.0.1", *found})


@pytest.mark.docker
def test_from_inside_a_preview_production_and_the_server_are_out_of_reach(
    server: Server, tmp_path: Path
) -> None:
    folder = tmp_path / "evil"
    folder.mkdir()
    (folder / "app.py").write_text(APP)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    # What a client's own settings ask for counts nowhere.
    (folder / "preview.toml").write_text(
        SETTINGS.format(name="another", runtime="process", egress="open") + 'allow = ["127.0.0.1:1"]\n'
    )
    token = server.token("developer", "ada")
    ada = server.by(token, folder)
    first, second = ada.json("up", "pr-1"), ada.json("up", "pr-2")

    def get(preview: dict[str, Any], path: str) -> str:
        return httpx.get(f"{preview['url']}/{path}", trust_env=False, timeout=60).text

    seen, other = json.loads(get(first, "seen")), json.loads(get(second, "seen"))
    production, branch = urlsplit(server.shop.uri()), urlsplit(seen["environment"]["DATABASE_URL"])
    running = ensure_running(server.shop.home)
    api = urlsplit(running.base_url)

    # The network: the branch is there, and nothing else under any address that this machine has.
    assert get(first, f"reach/{branch.hostname}:{branch.port}") == "answered"
    hosts = ["host.docker.internal", seen["gateway"], *addresses_of_this_machine()]
    ports = {production.port, server.port, api.port}
    reached = [
        f"{host}:{port}"
        for host in hosts
        for port in ports
        if not get(first, f"reach/{host}:{port}").endswith(")")
    ]
    assert reached == []
    app = urlsplit(second["url"])
    for neighbour in (
        f"{other['address']}:8000",
        f"{other['gateway']}:{urlsplit(other['environment']['DATABASE_URL']).port}",
        f"{other['gateway']}:{other['environment']['SMTP_PORT']}",
        f"{seen['gateway']}:{other['environment']['SMTP_PORT']}",
        f"host.docker.internal:{app.port}",
    ):
        assert get(first, f"reach/{neighbour}") != "answered", neighbour

    # What it was given: nothing of the server's, and a credential that production does not know.
    told = json.dumps(seen)
    for secret in (production.password, running.api_key, token, "NEON_API_KEY", "PREVIEW_STORE_URL"):
        assert str(secret) not in told
    assert seen["sockets"] == []
    assert str(server.shop.home) not in seen["mounts"]
    given = urlunsplit(
        production._replace(
            netloc=f"{branch.username}:{branch.password}@{production.hostname}:{production.port}"
        )
    )
    with pytest.raises(psycopg.OperationalError, match=r"password|authentication"):
        psycopg.connect(given, connect_timeout=10).close()
    assert server.shop.on(server.shop.uri(), "select id from customers") == [(1,)]

    # Error texts: of an app that tells all, of a preview that is none, of verbs that are not ada's.
    (folder / "app.py").write_text(TELLTALE)
    said = [ada.preview("up", "pr-3", expect=1)]
    assert "DATABASE_URL" in said[0].stderr, "what the app said helps its author"
    said += [
        ada.preview(*words, expect=None) for words in (("show", "pr-3"), ("logs", "pr-3"), ("show", "pr-4"))
    ]
    said += [ada.preview(verb, "pr-1", expect=4) for verb in ("promote", "approve")]
    texts = [each.stdout + each.stderr for each in said]
    texts += everything_that_can_be_read(server, ada, "pr-3").values()
    assert not [text for text in texts for secret in secrets_of(server.shop) if secret in text]
    for preview in ("pr-1", "pr-2", "pr-3"):
        ada.preview("discard", preview)
