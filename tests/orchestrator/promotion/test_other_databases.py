"""Several databases on one main: each is promoted by itself, and a restore point is one of all of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest

from orchestrator.database import Connection, lock_key
from orchestrator.errors import PromotionUnderWay, Refused
from orchestrator.postgres.inspect import inspect
from orchestrator.schema.catalog import Snapshot
from orchestrator.steps import to_restore_point
from tests.orchestrator.promotion.conftest import Yard
from tests.orchestrator.promotion.test_reverting import MakeYard, look, promoted, revert

SCHEMA = "create table orders (id int primary key); insert into orders values (1)"


def billing(yard: Yard, branch: str | None = None) -> str:
    """The URI of the other database."""
    address = urlsplit(yard.uri(branch))
    assert address.path == "/shop"
    return address._replace(path="/billing").geturl()


def of_billing(yard: Yard, branch: str | None, sql: str) -> None:
    with psycopg.connect(billing(yard, branch), autocommit=True) as connection:
        connection.execute(sql.encode())


@contextmanager
def beside_billing(yard: Yard) -> Iterator[None]:
    """As from the folder whose preview.toml is about the other database."""
    file = yard.folder / "preview.toml"
    text = file.read_text()
    file.write_text(text.replace('database = "shop"', 'database = "billing"'))
    try:
        yield
    finally:
        file.write_text(text)


@pytest.mark.prove
def test_a_restore_point_names_what_it_ends_in_other_databases_and_waits_for_them(
    make_yard: MakeYard, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard = make_yard(SCHEMA)
    for branch in (
        yard.neon.default_branch(yard.project_id),
        yard.neon.find_branch(yard.project_id, "development"),
    ):
        assert branch is not None
        yard.neon.create_database(yard.project_id, branch.id, "billing", owner="shop_owner")
    first = promoted(yard, "alter table orders add column note text", {})
    of_billing(yard, "development", "create table bills (id int primary key)")
    with beside_billing(yard):
        yard.up("pr-2")
        yard.promote("pr-2")
        second = yard.last()
        assert look(yard).promotion.id == second.id
    yard.neon.create_branch(
        yard.project_id, name="restore/theirs", parent_id=yard.neon.default_branch(yard.project_id).id
    )

    # The last one that can be taken back here is the last one of this database.
    assert look(yard).promotion.id == first.id
    with pytest.raises(Refused, match="changed database billing, and this is about shop"):
        look(yard, second.id)
    outlook = look(yard, to_restore_point=True)
    said = "\n".join(outlook.losses)
    assert "in all databases of main: billing, shop" in said
    assert f"the promotion {second.id} of pr-2 in database billing" in said
    assert "restore/theirs, which another diary knows" in said
    assert "rows of database billing, which were not counted" in said

    key = lock_key("promotion", yard.project_id, "billing")
    with psycopg.connect(
        billing(yard),
        autocommit=True,
        application_name="preview: promote theirs 1/2",
    ) as theirs:
        theirs.execute("select pg_advisory_lock(%s)", (key,))
        waited: list[str] = []

        def wait(holder: str) -> bool:
            waited.append(holder)
            return len(waited) < 3

        with (
            pytest.raises(PromotionUnderWay, match=r"promote theirs.*in database billing"),
            yard.open() as rooms,
        ):
            rooms.reverts.revert(outlook, wait=wait)
        assert len(waited) == 3
        assert theirs.execute("select 1").fetchone() == (1,)
    with (
        psycopg.connect(billing(yard), autocommit=True) as theirs,
        monkeypatch.context() as meanwhile,
        yard.open() as rooms,
    ):

        def begin(main: Connection) -> Snapshot:
            theirs.execute("select pg_advisory_lock(%s)", (key,))
            return inspect(main)

        meanwhile.setattr(to_restore_point, "inspect", begin)  # after it was looked whether anybody is there
        with pytest.raises(PromotionUnderWay, match="in database billing"):
            rooms.reverts.revert(outlook)
        assert theirs.execute("select 1").fetchone() == (1,)
    with yard.open() as rooms:
        reverts = [each for each in rooms.store.promotions(rooms.project.key).all() if each.kind == "revert"]
    assert {each.state for each in reverts} == {"refused"}

    assert revert(yard, first.id, to_restore_point=True).state == "done"

    with pytest.raises(Refused, match="was undone with another"), beside_billing(yard):
        look(yard, second.id)
