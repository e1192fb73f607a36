"""Generated pages are what the code says, and the README's words exist."""

import re
from pathlib import Path

import typer.main

from orchestrator.cli.app import app
from orchestrator.cli.docs import pages
from orchestrator.migration import hazards
from orchestrator.sections import PromoteSection

ROOT = Path(__file__).resolve().parents[3]


def test_generated_pages_are_up_to_date() -> None:
    for name, text in pages().items():
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == text, (
            f"docs/{name} is stale: run `make docs`"
        )


def test_every_command_says_what_it_does() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    wanted = (
        *("init", "plan", "up", "answer", "list", "show", "logs", "psql"),
        *("open", "promote", "discard", "history", "demo", "doctor"),
    )

    assert set(wanted) <= set(commands)
    assert all(command.help for command in commands.values())


def test_every_command_in_the_pages_exists() -> None:
    commands = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for word in re.findall(r"`preview ([a-z]+)", page.read_text(encoding="utf-8")):
            assert word in commands, f"{page.name} names `preview {word}`"


def test_relative_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_readme_is_one_screen() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 60


def test_what_blocks_by_default_is_what_the_catalogue_says() -> None:
    assert set(PromoteSection().block) == {code for code, kind in hazards.CATALOGUE.items() if kind.blocks}


def test_every_module_opens_with_its_caption() -> None:
    for package in ("neon_client", "neon_embedded", "preview", "orchestrator"):
        for file in sorted((ROOT / package).rglob("*.py")):
            assert file.read_text(encoding="utf-8").startswith('"""'), f"{file} has no caption"


def test_modules_are_read_in_one_sitting() -> None:
    long = {
        str(file.relative_to(ROOT)): lines
        for package in ("neon_client", "neon_embedded", "preview", "orchestrator")
        for file in sorted((ROOT / package).rglob("*.py"))
        if (lines := len(file.read_text(encoding="utf-8").splitlines())) > 450
    }

    assert long == {}
