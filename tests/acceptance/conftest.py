"""Shops for the acceptance tests; what they made is gone afterwards."""

import re
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from neon_client import NeonClient
from neon_embedded import ensure_running, stop
from tests.acceptance.shop import SHOP, Shop
from tests.acceptance.small import make_small
from tests.acceptance.tool import APP, FIRST, TOOL, Tool


@pytest.fixture(scope="session")
def shops_home(enterable: Path) -> Iterator[Path]:
    home = enterable / "acceptance"
    ensure_running(home)
    yield home
    stop(home)


@pytest.fixture(scope="session")
def neon(shops_home: Path) -> Iterator[NeonClient]:
    running = ensure_running(shops_home)
    with NeonClient(api_key=running.api_key, base_url=running.base_url) as client:
        yield client


def open_shop(home: Path, neon: NeonClient, folder: Path, name: str, runtime: str) -> Shop:
    """The shop's folder with its preview.toml; makes the project when it is not there yet."""
    shop = Shop(home=home, folder=folder, name=name, neon=neon)
    shutil.copytree(SHOP, folder, ignore=shutil.ignore_patterns("__pycache__"))
    shop.preview(
        *("init", "--neon", "embedded", "--project", name, "--database", "shop"),
        *("--goal-branch", "development", "--context", "v2"),
    )
    shop.settings(
        lambda text: (
            f'{text}command = ["python3", "app.py"]\nbuild_args = {{ BASE = "preview-base:python3" }}\n'
            f'[runtime]\nkind = "{runtime}"\n'
        )
    )
    return shop


def fill(shop: Shop, orders: int) -> None:
    """Version 1 with data on main, version 2's schema on development."""
    schema, seed = (SHOP / "v1" / "schema.sql").read_text(), (SHOP / "seed.sql").read_text()
    shop.on(shop.uri(), schema)
    shop.on(shop.uri(), f"set shop.orders = '{orders}';\n{seed}")
    shop.on(shop.uri("development"), schema)
    shop.on(shop.uri("development"), (SHOP / "development.sql").read_text())


def discard_all(shop: Shop) -> None:
    for value in shop.json("list", expect=None) if (shop.folder / "preview.toml").exists() else []:
        if value["project"].endswith(shop.project_id):
            shop.preview("discard", value["name"], "--force", expect=None)


@pytest.fixture
def make_shop(
    shops_home: Path, neon: NeonClient, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Shop]]:
    """Makes a shop with a project of its own; discards its previews and its project at the end."""
    made: list[Shop] = []

    def make(*, orders: int = 500, runtime: str = "process") -> Shop:
        name = f"{re.sub(r'[^a-z0-9]+', '-', request.node.name.lower())[:40].strip('-')}-{len(made)}"
        shop = open_shop(shops_home, neon, tmp_path / f"shop{len(made)}", name, runtime)
        made.append(shop)
        fill(shop, orders)
        return shop

    yield make
    for shop in made:
        discard_all(shop)
        neon.delete_project(shop.project_id)


@pytest.fixture
def make_small_shop(
    shops_home: Path, neon: NeonClient, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Shop]]:
    """Makes small projects; see `tests.acceptance.small`."""
    made: list[Shop] = []

    def make(*, runtime: str = "process", more: str = "") -> Shop:
        name = f"small-{zlib.crc32(request.node.name.encode())}-{len(made)}"
        small = make_small(shops_home, neon, tmp_path / name, name, runtime, more)
        made.append(small)
        return small

    yield make
    for small in made:
        discard_all(small)
        neon.delete_project(small.project_id)


@pytest.fixture
def shop(make_shop: Callable[..., Shop]) -> Shop:
    """A shop whose databases a test may change."""
    return make_shop()


@pytest.fixture(scope="session")
def common_project(shops_home: Path, neon: NeonClient, tmp_path_factory: pytest.TempPathFactory) -> str:
    """One filled project for all tests that do not change its databases."""
    shop = open_shop(shops_home, neon, tmp_path_factory.mktemp("common") / "shop", "common", "process")
    fill(shop, 300)
    return shop.name


@pytest.fixture
def common_shop(shops_home: Path, neon: NeonClient, common_project: str, tmp_path: Path) -> Iterator[Shop]:
    """A folder of the test's own on the common project; tests leave its databases alone."""
    folder = tmp_path / "shop"
    shop = open_shop(shops_home, neon, folder, common_project, "process")
    good = (folder / "preview.toml").read_text()
    yield shop
    (folder / "preview.toml").write_text(good)
    discard_all(shop)


@pytest.fixture
def blank_tool(
    shops_home: Path, neon: NeonClient, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Tool]:
    """A project with an empty production, and a folder with an app and no migrations yet."""
    name = f"tool-{zlib.crc32(request.node.name.encode())}"
    neon.create_project(name=name, database_name="shop", role_name="shop_owner")
    made = Tool(home=shops_home, folder=tmp_path / "app", name=name, neon=neon)
    made.folder.mkdir()
    made.file("app.py", APP)
    yield made
    discard_all(made)
    neon.delete_project(made.project_id)


@pytest.fixture
def tool(blank_tool: Tool) -> Tool:
    """The tests' own migration tool; production has run the first of its files."""
    blank_tool.file("tool.py", TOOL)
    blank_tool.file("migrations/1.sql", FIRST)
    blank_tool.write()
    blank_tool.tool()
    return blank_tool
