"""Names, paths and the config, without a server."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.gate.config import gateway_config
from orchestrator.gate.hosts import RESERVED, own_path, preview_name
from orchestrator.sections import GatewaySection
from orchestrator.settings import NAME_PATTERN


@given(st.from_regex(NAME_PATTERN, fullmatch=True))
def test_a_previews_host_gives_its_name(name: str) -> None:
    for host in (f"{name}.localhost", f"{name}.localhost:8400", f"{name.upper()}.LOCALHOST."):
        assert preview_name(host, "localhost") == name


@given(st.text(max_size=60))
def test_any_other_host_gives_none_or_a_name_below_the_domain(host: str) -> None:
    name = preview_name(host, "preview.test")
    assert name is None or f"{name}.preview.test" in host.lower()


@given(st.text(max_size=60) | st.text(alphabet="/\\.:@?#aA%\t\r\n", max_size=12))
def test_what_a_login_leads_to_is_a_path_of_the_same_host(wanted: str) -> None:
    path = own_path(wanted)
    assert path.startswith("/")
    assert not path.startswith(("//", "/\\", RESERVED))
    assert not set(path) & set("\\\r\n\t\0 ")
    assert own_path(path) == path


@given(st.from_regex(r"/[a-z0-9/]{0,20}(\?[a-z=&]{0,10})?", fullmatch=True))
def test_an_ordinary_path_is_kept(wanted: str) -> None:
    assert own_path(wanted) == ("/" if wanted.startswith("//") else wanted)


@pytest.mark.parametrize(
    ("given_settings", "url", "private", "server"),
    [
        ({}, "http://pr-1.localhost:8400", False, None),
        ({"port": 9000}, "http://pr-1.localhost:9000", False, None),
        ({"access": "private"}, "http://pr-1.localhost:8400", True, None),
        ({"domain": "p.example.com"}, "https://pr-1.p.example.com", True, "https://p.example.com"),
        (
            {"domain": "p.example.com", "port": 8443},
            "https://pr-1.p.example.com:8443",
            True,
            "https://p.example.com:8443",
        ),
        (
            {"domain": "p.example.com", "port": 80, "tls": "off"},
            "https://pr-1.p.example.com",
            True,
            "https://p.example.com",
        ),
        (
            {"domain": "p.example.com", "access": "open"},
            "https://pr-1.p.example.com",
            False,
            "https://p.example.com",
        ),
    ],
)
def test_what_the_settings_mean(
    given_settings: dict[str, object], url: str, private: bool, server: str | None
) -> None:
    gateway = GatewaySection.model_validate(given_settings)
    assert (gateway.url("pr-1"), gateway.private, gateway.server_url) == (url, private, server)


def test_a_certificate_in_files_goes_with_both_files() -> None:
    for half in ({"tls": "files"}, {"tls": "files", "key": "/k"}, {"certificate": "/c", "key": "/k"}):
        with pytest.raises(ValueError, match="goes with"):
            GatewaySection.model_validate({"domain": "p.example.com", **half})


def test_the_config_listens_where_it_should_and_touches_nothing_else_of_the_machine() -> None:
    local = gateway_config(GatewaySection(), "unix//run/gate.sock")
    assert [server["listen"] for server in local["apps"]["http"]["servers"].values()] == [["127.0.0.1:8400"]]
    assert set(local["apps"]) == {"http"}
    team = gateway_config(GatewaySection(domain="p.example.com"), "127.0.0.1:8401")
    listened = {name: server["listen"] for name, server in team["apps"]["http"]["servers"].items()}
    assert listened == {"gateway": [":443"], "redirect": [":80"]}
    assert team["apps"]["pki"]["certificate_authorities"]["local"]["install_trust"] is False
    six = gateway_config(GatewaySection(listen="::1"), "unix//run/gate.sock")
    assert six["apps"]["http"]["servers"]["gateway"]["listen"] == ["[::1]:8400"]
    # Values only, and nothing of any preview.
    assert json.loads(json.dumps(team)) == team
