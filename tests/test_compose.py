"""The team's set-up as files: every command in it exists, its settings can be read, its secrets come from outside."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from orchestrator.cli.app import app
from orchestrator.gate.config import gateway_config
from orchestrator.gate.serving import gate_address
from orchestrator.settings import load
from preview.private_network import _bridge

FOLDER = Path(__file__).parents[1] / "compose"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())


def _commands() -> list[list[str]]:
    words = []
    for service in COMPOSE["services"].values():
        line = service.get("command", [])
        text = line[2] if line[:2] == ["sh", "-c"] else " ".join(line)
        words += [part.split(">")[0].split() for part in re.split(r"&&", text)]
    readme = (FOLDER / "README.md").read_text()
    words += [match.split() for match in re.findall(r"exec server (preview [^\n]*)", readme)]
    return [each for each in words if each and each[0] == "preview"]


def test_every_command_exists_with_its_flags() -> None:
    assert len(_commands()) >= 4
    for words in _commands():
        found: Any = typer.main.get_command(app)
        for word in words[1:]:
            # Typer brings a click of its own, so its classes are not ours to ask for.
            if word in getattr(found, "commands", {}):
                found = found.commands[word]
        flags = {flag for parameter in found.params for flag in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= flags, words


def test_its_settings_can_be_read_and_give_a_private_gateway() -> None:
    settings = load(FOLDER / "preview.toml")
    assert settings.gateway.private
    config = gateway_config(settings.gateway, gate_address(settings.gateway))
    assert config["apps"]["tls"]["automation"]["on_demand"]["permission"]["endpoint"].startswith(
        "http://127.0.0.1:"
    )
    assert settings.gateway.server == "127.0.0.1:8600"


def test_no_secret_stands_in_it_and_the_store_is_on_loopback() -> None:
    text = (FOLDER / "compose.yaml").read_text()
    assert re.findall(r"(?:PASSWORD|KEY): (?!\$\{)", text) == []
    assert [port.startswith("127.0.0.1:") for port in COMPOSE["services"]["store"]["ports"]] == [True]
    assert "docker.sock" not in str(COMPOSE["services"]["gateway"])
    assert "NEON_API_KEY" not in str(COMPOSE["services"]["gateway"])


def test_the_firewalls_rule_is_for_the_networks_of_previews() -> None:
    (prefix,) = re.findall(r'iifname "([^"*]+)\*"', (FOLDER / "closed.nft").read_text())
    assert _bridge("preview-pr-1-abc").startswith(prefix)
    assert COMPOSE["services"]["firewall"]["cap_add"] == ["NET_ADMIN"]
    assert COMPOSE["services"]["firewall"]["cap_drop"] == ["ALL"]
    assert "environment" not in COMPOSE["services"]["firewall"]


def test_the_image_gets_everything_that_the_wheel_is_made_of() -> None:
    wheel = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text())["tool"]["hatch"]["build"][
        "targets"
    ]["wheel"]
    copied = re.findall(r"^COPY (\S+) \S+$", (FOLDER / "Dockerfile").read_text(), re.MULTILINE)
    assert {*wheel["packages"], *wheel["force-include"]} <= set(copied)
    let_in = {
        line[1:] for line in (FOLDER / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    assert set(copied) <= let_in


@pytest.mark.parametrize("words", [("docker", "compose"), ("docker-compose",)], ids=" ".join)
def test_compose_itself_takes_it(words: tuple[str, ...]) -> None:
    """The plugin, and the program before it: each has a reader of its own."""
    if shutil.which(words[0]) is None or subprocess.run([*words, "version"], capture_output=True).returncode:
        pytest.skip(f"{' '.join(words)} is not installed")
    done = subprocess.run(
        [*words, "-f", str(FOLDER / "compose.yaml"), "config", "--quiet"],
        env={**os.environ, "NEON_API_KEY": "x", "STORE_PASSWORD": "x"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
