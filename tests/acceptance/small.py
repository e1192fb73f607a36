"""The smallest project that has everything: one table, a goal that adds to it, an app that answers."""

from collections.abc import Callable
from pathlib import Path

from neon_client import NeonClient
from tests.acceptance.shop import Shop

APP = """
import http.server, os

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *args):
        pass

http.server.HTTPServer(("0.0.0.0", int(os.environ["PORT"])), Answer).serve_forever()
"""
DOCKERFILE = "FROM preview-base:python3\nCOPY app.py /app.py\nCMD python3 /app.py\n"
TABLE = "create table notes (id int primary key, text text not null)"
GOAL = "create table notes (id int primary key, text text not null, seen boolean not null default false)"


def make_small(home: Path, neon: NeonClient, folder: Path, name: str, runtime: str, more: str = "") -> Shop:
    """Its project on the home's embedded Neon, its folder with preview.toml."""
    neon.create_project(name=name, database_name="shop", role_name="shop_owner")
    shop = Shop(home=home, folder=folder, name=name, neon=neon)
    (folder / "goal").mkdir(parents=True)
    (folder / "goal" / "1.sql").write_text(f"{GOAL};\n")
    (folder / "app.py").write_text(APP)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "preview.toml").write_text(
        f'[project]\nneon = "embedded"\nname = "{name}"\ndatabase = "shop"\n[goal]\ndirectory = "goal"\n'
        f'[app]\ncommand = ["python3", "app.py"]\nhealth = "/"\n[runtime]\nkind = "{runtime}"\n{more}'
    )
    shop.on(shop.uri(), f"{TABLE}; insert into notes select n, 'note ' || n from generate_series(1, 20) n")
    return shop


MakeSmall = Callable[..., Shop]
