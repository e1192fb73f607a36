"""Where a compute listens, and what happens when it cannot."""

import secrets
import socket
from collections.abc import Iterator

import psycopg
import pytest

from neon_client import ApiError, CreatedBranch, OperationFailed

from .conftest import World

#: An address of this machine that is not 127.0.0.1, as a container bridge's gateway would be.
OTHER = "127.0.0.5"


def listening(addresses: str) -> dict[str, dict[str, str]]:
    return {"pg_settings": {"listen_addresses": addresses}}


@pytest.fixture
def created(world: World) -> CreatedBranch:
    return world.client.create_branch(
        world.project, name="e", parent_id=world.main, endpoint_settings=listening(f"127.0.0.1, {OTHER}")
    )


def connects(world: World, branch_id: str, host: str) -> bool:
    try:
        psycopg.connect(world.uri(branch_id).with_host(host).reveal(), connect_timeout=60).close()
    except psycopg.OperationalError:
        return False
    return True


def test_only_the_branch_that_asks_listens_elsewhere(world: World, created: CreatedBranch) -> None:
    assert connects(world, created.branch.id, OTHER)
    assert connects(world, created.branch.id, "127.0.0.1")
    assert connects(world, world.main, "127.0.0.1")
    assert not connects(world, world.main, OTHER)


def test_a_change_moves_it_and_keeps_the_port(world: World, created: CreatedBranch) -> None:
    endpoint, port = created.endpoints[0], world.uri(created.branch.id).port
    changed = world.client.update_endpoint(world.project, endpoint.id, settings={})
    assert changed.host == endpoint.host
    assert not connects(world, created.branch.id, OTHER)
    again = world.client.update_endpoint(world.project, endpoint.id, settings=listening(OTHER))
    assert again.host == endpoint.host
    assert world.uri(created.branch.id).port == port
    assert connects(world, created.branch.id, OTHER)
    assert connects(world, created.branch.id, "127.0.0.1")


@pytest.mark.parametrize(
    "address", ["0.0.0.0", "*", "8.8.8.8", "::", "localhost", "127.0.0.1'; x", "10.0.0.300"]
)
def test_addresses_that_strangers_could_reach_are_refused(world: World, address: str) -> None:
    with pytest.raises(ApiError, match="listen_addresses") as caught:
        world.client.create_branch(
            world.project, name="open", parent_id=world.main, endpoint_settings=listening(address)
        )
    assert caught.value.status == 400
    assert world.client.find_branch(world.project, "open") is None


def test_other_settings_are_refused_by_name(world: World) -> None:
    with pytest.raises(ApiError, match=r"only pg_settings\.listen_addresses"):
        world.client.create_branch(
            world.project, name="b", parent_id=world.main, endpoint_settings={"pg_settings": {"fsync": "off"}}
        )


def test_an_address_of_another_machine_fails_and_leaves_nothing(world: World) -> None:
    with pytest.raises(OperationFailed, match=r"cannot listen on 10\.255\.255\.1"):
        world.client.create_branch(
            world.project, name="far", parent_id=world.main, endpoint_settings=listening("10.255.255.1")
        )
    assert world.client.find_branch(world.project, "far") is None
    assert world.directories() == {world.main}


def test_a_failed_move_keeps_what_was(world: World, created: CreatedBranch) -> None:
    endpoint = created.endpoints[0]
    with pytest.raises(OperationFailed, match=r"10\.255\.255\.1"):
        world.client.update_endpoint(world.project, endpoint.id, settings=listening("10.255.255.1"))
    assert connects(world, created.branch.id, OTHER)
    assert world.client.endpoints(world.project, created.branch.id)[0].settings == endpoint.settings


@pytest.fixture
def intruder() -> Iterator[socket.socket]:
    with socket.socket() as taken:
        yield taken


def test_the_port_of_a_sleeper_is_kept(world: World, created: CreatedBranch, intruder: socket.socket) -> None:
    endpoint = created.endpoints[0]
    world.client.suspend_endpoint(world.project, endpoint.id)
    intruder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with pytest.raises(OSError, match="in use"):
        intruder.bind(("127.0.0.1", world.uri(created.branch.id).port))
    assert world.client.start_endpoint(world.project, endpoint.id).host == endpoint.host
    assert connects(world, created.branch.id, OTHER)


def test_reset_ends_the_sessions_of_the_old_password(world: World, created: CreatedBranch) -> None:
    with world.connect(created.branch.id) as old, world.connect(world.main) as main:
        world.client.reset_password(world.project, created.branch.id, "neondb_owner")
        with pytest.raises(psycopg.OperationalError, match="terminating connection"):
            old.execute("select 1")
        assert main.execute("select 1").fetchone() == (1,)


def test_no_password_reaches_a_log(world: World, created: CreatedBranch) -> None:
    password = world.client.reset_password(world.project, created.branch.id, "neondb_owner").reveal()
    typed = f"typed{secrets.token_hex(8)}"
    with world.connect(created.branch.id) as connection, pytest.raises(psycopg.Error):
        connection.execute(f"alter role nobody_at_all password '{typed}'")
    logs = [path for path in world.running.home.rglob("*") if path.suffix in {".log", ".out", ".1"}]
    assert len(logs) >= 4
    for path in logs:
        text = path.read_text()
        assert password not in text
        assert typed not in text
        assert world.running.api_key.reveal() not in text


def test_routes_that_are_not_there_say_so(world: World) -> None:
    answer = world.http.post(f"projects/{world.project}/branches/{world.main}/teleport", json={})
    assert answer.status_code == 404
    assert "the embedded server has no route POST" in answer.json()["message"]
    assert world.http.get("nothing").json()["message"].startswith("the embedded server has no route GET")
    assert world.http.post("projects", content=b"{").status_code == 400
    assert world.http.post("projects", content=b"[]").status_code == 400
