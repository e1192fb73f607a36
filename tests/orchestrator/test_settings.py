"""preview.toml: what it accepts, and what it says about what it does not."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import SettingsError, UsageError
from orchestrator.sections import parse_size
from orchestrator.settings import check_name, find, load

GOOD = """
[project]
name = "shop"
database = "shop"
[goal]
branch = "development"
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "preview.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_the_least_that_is_needed_gets_defaults(tmp_path: Path) -> None:
    settings = load(write(tmp_path, GOOD))

    assert settings.project.neon == "embedded"
    assert settings.app.health == "/healthz"
    assert settings.promote.block == ["deletes_data"]
    assert settings.path("v2") == tmp_path.resolve() / "v2"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD + '[app]\nhelth = "/x"\n', "app.helth is not a setting, did you mean health?"),
        (GOOD + '[app]\nport = "many"\n', "app.port"),
        (GOOD + '[app]\nmemory = "lots"\n', "'lots' is not a size"),
        (GOOD + "[nonsense]\n", "nonsense is not a setting"),
        (GOOD + '[runtime]\nkind = "swarm"\n', "runtime.kind"),
        (GOOD.replace('branch = "development"', ""), "exactly one of `branch`"),
        (GOOD + 'directory = "schema"\n', "exactly one of `branch`"),
        (GOOD.replace('name = "shop"', ""), "give `id` or `name`"),
        (GOOD.replace('database = "shop"', ""), "project.database is missing"),
        ("[project", "is not TOML"),
        ("", "project is missing"),
        (GOOD + "[app]\nport = 70000\n", "app.port"),
        (GOOD + '[app]\nhealth = "healthz"\n', "app.health"),
    ],
)
def test_what_is_wrong_is_named_with_its_path(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(write(tmp_path, text))

    assert said in caught.value.message
    assert caught.value.exit_code == 2


def test_bytes_that_are_no_text_are_an_error_not_a_traceback(tmp_path: Path) -> None:
    file = tmp_path / "preview.toml"
    file.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(SettingsError, match="is not TOML"):
        load(file)


def test_the_file_is_found_in_a_folder_above(tmp_path: Path) -> None:
    file = write(tmp_path, GOOD)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)

    assert find(below) == file


def test_no_file_is_said_with_the_next_command(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        find(tmp_path)

    assert "there is no preview.toml" in caught.value.message
    assert "preview init" in caught.value.hint


@pytest.mark.parametrize("name", ["pr-142", "a", "0", "x" * 40, "a-b-c"])
def test_good_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "../x",
        "a/b",
        'a"b',
        "a'b",
        "a b",
        "A",
        "-a",
        "a-",
        "x" * 41,
        "x" * 300,
        "grüße",
        "a.b",
        "a\n",
        "a;b",
        "٣",
    ],
)
def test_bad_names_are_usage_errors(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_name(name)

    assert caught.value.exit_code == 2
    assert len(caught.value.message) < 150


@given(st.text(max_size=60))
def test_a_name_that_is_taken_is_safe_in_paths_hosts_and_containers(name: str) -> None:
    try:
        check_name(name)
    except UsageError:
        return

    assert name.isascii()
    assert name == name.lower()
    assert len(name) <= 40
    assert not set(name) - set("abcdefghijklmnopqrstuvwxyz0123456789-")


@given(st.integers(min_value=0, max_value=10**9), st.sampled_from(["", "k", "m", "g", "K", "MiB", "gb"]))
def test_sizes(number: int, unit: str) -> None:
    factor = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}[unit[:1].lower()]

    assert parse_size(f"{number}{unit}") == number * factor
