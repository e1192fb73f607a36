"""A preview has production's rows, scrubbed; its app starts only when the policy's queries find nothing."""

import subprocess
from urllib.parse import urlsplit

import httpx
import pytest

from tests.acceptance.shop import RENAME, Shop
from tests.acceptance.tool import Tool

SCRUB = """
update customers set email = 'customer-' || id || '@example.invalid', name = 'Customer ' || id;
"""


def test_rows_are_scrubbed_and_verified_before_the_app_starts(shop: Shop) -> None:
    (shop.folder / "scrub.sql").write_text(SCRUB)
    production = shop.main("select min(email), count(*) from customers")
    policy = "select 1 from customers where email not like '%@example.invalid'"
    shop.settings(
        lambda text: (
            f'{text}\n[safety]\nscrub = ["scrub.sql"]\n[[safety.verify]]\nname = "real addresses"\nsql = "{policy}"\n'
        )
    )

    ready = shop.json("up", "pr-1", "--answer", f"{RENAME}=name")

    branch = shop.uri(ready["branch"]["name"])
    assert shop.on(branch, "select full_name, email from customers where id = 1") == [
        ("Customer 1", "customer-1@example.invalid")
    ]
    assert shop.main("select min(email), count(*) from customers") == production
    assert {"check": "safety", "severity": "ok", "subject": "environment"}.items() <= next(
        finding for finding in ready["report"]["findings"] if finding["check"] == "safety"
    ).items()

    # A policy that does not do its work: no app, and the query is named.
    (shop.folder / "scrub.sql").write_text("update customers set name = name where id = 1;")
    failed = shop.preview("up", "pr-2", "--answer", f"{RENAME}=name", expect=1)
    assert "after the scrub there is still something of 'real addresses'" in failed.stderr
    assert shop.json("show", "pr-2")["url"] is None

    # One that changes the schema, and one that fails.
    (shop.folder / "scrub.sql").write_text(
        "update customers set email = id || '@example.invalid'; create table t ();"
    )
    assert "changed the schema" in shop.preview("up", "pr-2", expect=1).stderr
    (shop.folder / "scrub.sql").write_text("\nupdate nobody set x = 1;")
    assert "scrub.sql, line 2: PostgreSQL says 42P01" in shop.preview("up", "pr-2", expect=1).stderr

    # Mended, it goes on, on a fresh branch; an app that knows a way to production is not started.
    (shop.folder / "scrub.sql").write_text(SCRUB)
    main = urlsplit(shop.uri())
    shop.settings(
        lambda text: text.replace(
            "[safety]", f'[safety]\nenv = {{ LEGACY = "postgres://x@localhost:{main.port}/shop" }}'
        )
    )
    refused = shop.preview("up", "pr-2", expect=4)
    assert "LEGACY: the preview's environment names a machine of production" in refused.stderr
    assert shop.json("show", "pr-2")["url"] is None


APP = """
import http.server, os, smtplib, socket
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        code, text = 200, "ok"
        try:
            if self.path == "/mail":
                with smtplib.SMTP(os.environ["SMTP_HOST"], int(os.environ["SMTP_PORT"]), timeout=5) as client:
                    client.sendmail("shop@x.test", ["ann@example.com"], "Subject: your order\\r\\n\\r\\nThanks!\\r\\n")
            elif self.path == "/cache":
                with socket.create_connection((os.environ["CACHE_HOST"], int(os.environ["CACHE_PORT"])), 5) as s:
                    text = s.recv(100).decode()
            elif self.path.startswith("/reach/"):
                host, _, port = self.path[7:].partition(":")
                socket.create_connection((host, int(port)), 3).close()
            elif self.path == "/env":
                text = os.environ["MAILER"]
        except OSError as error:
            code, text = 502, repr(error)
        self.send_response(code)
        self.end_headers()
        self.wfile.write(text.encode())
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Answer).serve_forever()
"""
CACHE = """
import os, socket
server = socket.create_server(("0.0.0.0", int(os.environ["PORT"])))
print("the cache is up", flush=True)
while True:
    connection, _ = server.accept()
    connection.sendall(b"cached for " + os.environ["PREVIEW_NAME"].encode())
    connection.close()
"""


@pytest.mark.parametrize("runtime", ["process", pytest.param("docker", marks=pytest.mark.docker)])
def test_an_app_with_a_service_mails_to_the_sink_and_reaches_nothing_else(
    blank_tool: Tool, runtime: str
) -> None:
    tool = blank_tool
    tool.file("app.py", APP)
    tool.file("cache.py", CACHE)
    tool.file("Dockerfile", 'FROM preview-base:python3\nCOPY app.py cache.py ./\nCMD ["python3", "app.py"]\n')
    tool.file("goal/1.sql", "create table t (id int primary key);")
    tool.file(
        "preview.toml",
        f"""
[project]
name = "{tool.name}"
database = "shop"
[goal]
directory = "goal"
[app]
command = ["python3", "app.py"]
[runtime]
kind = "{runtime}"
[safety]
allow = ["api.example.com:443"]
env = {{ MAILER = "smtp://{{smtp_host}}:{{smtp_port}}" }}
[services.cache]
command = ["python3", "cache.py"]
port = 7000
[services.worker]
command = ["python3", "-c", "import os, time; print(os.environ['DATABASE_URL'][:10], flush=True); time.sleep(999)"]
depends_on = ["cache"]
""",
    )
    ready = tool.json("up", "pr-1")
    url = ready["url"]

    def get(path: str) -> httpx.Response:
        return httpx.get(f"{url}{path}", trust_env=False, timeout=30)

    assert get("/").text == "ok"
    assert get("/cache").text == "cached for pr-1"
    assert get("/mail").status_code == 200
    (mail,) = tool.json("mail", "pr-1")
    assert (mail["subject"], mail["recipients"]) == ("your order", ["ann@example.com"])
    assert "Thanks!" in tool.preview("mail", "pr-1", mail["id"]).stdout
    assert get("/env").text.startswith("smtp://")
    tool.log("the cache is up", "pr-1", "--service", "cache")
    tool.log("postgresql", "pr-1", "--service", "worker")
    egress = next(each for each in ready["report"]["findings"] if each["subject"] == "egress")
    if runtime == "docker":
        assert egress["severity"] == "ok"
        assert get("/reach/1.1.1.1:443").status_code == 502
        assert get("/reach/example.com:80").status_code == 502
    else:
        assert egress["message"].startswith("not enforced: ")

    tool.preview("discard", "pr-1")
    assert tool.leftovers(ready) == []
    if runtime == "docker":
        networks = subprocess.run(
            ["docker", "network", "ls", "--format", "{{.Name}}"], capture_output=True, text=True, check=True
        ).stdout
        assert ready["id"] not in networks
