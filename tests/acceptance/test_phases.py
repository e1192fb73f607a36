"""A promotion in two phases: the running version survives the first, one yes covers both, drift in between is seen."""

import pytest

from tests.acceptance.shop import RENAME, Shop

OLD = (
    "insert into customers (email, name, fax) values ('{0}@x', '{0}', '1')",
    "select name, fax from customers",
    (
        "insert into order_items (order_id, line, product_id, quantity, unit_price_cents)"
        " select id, 90, 1, 0, 1 from orders order by id limit 1"
    ),
    "delete from order_items where line = 90",
)


def test_expand_then_contract(shop: Shop) -> None:
    shop.preview("up", "pr-1", "--answer", f"{RENAME}=name")
    refused = shop.preview("promote", "pr-1", "--phase", "contract", expect=4)
    assert "--phase expand` comes first" in refused.stderr
    shop.preview("promote", "pr-1", "--phase", "expand", expect=4)  # both phases need the yes
    done = shop.preview("promote", "pr-1", "--phase", "expand", "--allow", "deletes_data")
    assert "expanded pr-1" in done.stdout
    assert "next: preview promote pr-1 --phase contract" in done.stdout

    # The middle: what adds is there, the old version goes on.
    assert "channel" in shop.columns(shop.uri(), "orders")
    assert shop.columns(shop.uri(), "shipments")
    for text in OLD:
        shop.main(text.format("ada"))
    middle = shop.json("show", "pr-1")
    assert middle["state"] == "ready"
    assert middle["expanded"]["left"]
    assert "main has the first phase since" in shop.preview("show", "pr-1").stderr
    assert shop.json("up", "pr-1")["expanded"] == middle["expanded"]  # it is up to date: nothing is made anew
    again = shop.json("promote", "pr-1", "--phase", "expand")
    assert again["expanded"] == middle["expanded"]
    kept = shop.preview("discard", "pr-1", expect=4)
    assert "--phase contract" in kept.stderr

    contracted = shop.json("promote", "pr-1", "--phase", "contract", "--keep")
    assert contracted["state"] == "promoted"
    assert shop.columns(shop.uri(), "customers") == shop.columns(shop.uri("development"), "customers")
    assert shop.json("plan")["statements"] == []
    assert shop.main("select full_name from customers where email = 'ada@x'") == [("ada",)]


@pytest.mark.prove
def test_drift_between_the_phases_is_drift(shop: Shop) -> None:
    shop.preview("up", "pr-1", "--answer", f"{RENAME}=name")
    shop.preview("promote", "pr-1", "--phase", "expand", "--allow", "deletes_data")
    shop.main("alter table products add column colour text")
    refused = shop.preview("promote", "pr-1", "--phase", "contract", "--no-rebase", expect=4)
    assert "main has moved" in refused.stderr
    assert "fax" in shop.columns(shop.uri(), "customers")
    shop.on(shop.uri("development"), "alter table products add column colour text")
    shop.preview("up", "pr-1")
    shop.preview("promote", "pr-1", "--allow", "deletes_data")
    assert shop.columns(shop.uri(), "customers") == shop.columns(shop.uri("development"), "customers")
