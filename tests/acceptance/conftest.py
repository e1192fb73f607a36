"""Shops for the acceptance tests; what they made is gone afterwards."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from neon_client import NeonClient
from neon_embedded import ensure_running, stop
from tests.acceptance.shop import SHOP, Shop


@pytest.fixture(scope="session")
def shops_home(enterable: Path) -> Iterator[Path]:
    home = enterable / "acceptance"
    ensure_running(home)
    yield home
    stop(home)


@pytest.fixture
def make_shop(
    shops_home: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Shop]]:
    """Makes a shop with its production and development; discards its previews and its project at the end."""
    running = ensure_running(shops_home)
    made: list[Shop] = []
    with NeonClient(api_key=running.api_key, base_url=running.base_url) as neon:

        def make(*, orders: int = 500, runtime: str = "process", goal: str = "development.sql") -> Shop:
            name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:40].strip("-") + f"-{len(made)}"
            shop = Shop(home=shops_home, folder=tmp_path / f"shop{len(made)}", name=name, neon=neon)
            shutil.copytree(SHOP, shop.folder, ignore=shutil.ignore_patterns("__pycache__"))
            made.append(shop)
            shop.preview(
                "init", "--neon", "embedded", "--project", name, "--database", "shop", "--goal-branch", "development",
                "--context", "v2",
            )  # fmt: skip
            shop.settings(
                lambda text: (
                    text
                    + 'command = ["python3", "app.py"]\nbuild_args = { BASE = "preview-base:python3" }\n'
                    + f'[runtime]\nkind = "{runtime}"\n'
                )
            )
            schema, seed = (SHOP / "v1" / "schema.sql").read_text(), (SHOP / "seed.sql").read_text()
            shop.on(shop.uri(), schema)
            shop.on(shop.uri(), f"set shop.orders = '{orders}';\n{seed}")
            shop.on(shop.uri("development"), schema)
            if goal:
                shop.on(shop.uri("development"), (SHOP / goal).read_text())
            return shop

        yield make
        for shop in made:
            for value in shop.json("list", expect=None) if (shop.folder / "preview.toml").exists() else []:
                if value["project"].endswith(shop.project_id):
                    shop.preview("discard", value["name"], "--force", expect=None)
            neon.delete_project(shop.project_id)


@pytest.fixture
def shop(make_shop: Callable[..., Shop]) -> Shop:
    return make_shop()
