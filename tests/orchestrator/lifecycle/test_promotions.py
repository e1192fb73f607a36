"""Promotions in the diary: what is read back, what state events come to, and that nothing is ever changed."""

from collections.abc import Callable

import psycopg
import pytest

from orchestrator.errors import UnknownPromotion
from orchestrator.lifecycle import Preview, Promotions, Store

PROJECT = "embedded/p-1"


@pytest.fixture
def preview(store: Store) -> Preview:
    return store.create(name="pr-1", project=PROJECT, facts={})


@pytest.fixture
def promotions(store: Store) -> Promotions:
    return store.promotions(PROJECT)


def begin(promotions: Promotions, preview: Preview, **more: str) -> str:
    facts = {"plan": {"digest": "d"}, "answers": {"a": "b"}}
    return promotions.begin(preview_id=preview.id, preview_name=preview.name, facts=facts, **more).id


def test_what_happened_is_read_back_in_order(promotions: Promotions, preview: Preview) -> None:
    promotion_id = begin(promotions, preview, note="promote")
    promotions.record(promotion_id, "restore_point", detail={"branch": "br-1"}, milliseconds=12.5)
    promotions.record(promotion_id, "statement", detail={"sql": "select 1"})
    promotions.record(promotion_id, "statement", detail={"sql": "select 2"})
    promotions.record(promotion_id, "done", note="main equals the branch")

    found = promotions.get(promotion_id)

    assert found.state == "done"
    assert [each["sql"] for each in found.statements] == ["select 1", "select 2"]
    value = found.to_json()
    assert value["restore_point"] == {"branch": "br-1"}
    assert value["who"] == "ada@test"
    assert value["ended_at"] is not None
    assert [each["kind"] for each in value["events"]] == [
        "begun",
        "restore_point",
        "statement",
        "statement",
        "done",
    ]
    assert value["answers"] == {"a": "b"}
    assert found.slug == f"pr-1-{preview.id}-{promotion_id}"


@pytest.mark.parametrize(
    ("kinds", "state"),
    [
        ((), "running"),
        (("applying", "failed"), "failed"),
        (("applying", "failed", "resumed", "statement"), "running"),
        (("refused",), "refused"),
        (("done", "release"), "done"),
    ],
)
def test_state_is_what_the_last_telling_event_says(
    promotions: Promotions, preview: Preview, kinds: tuple[str, ...], state: str
) -> None:
    promotion_id = begin(promotions, preview)
    for kind in kinds:
        promotions.record(promotion_id, kind)

    found = promotions.get(promotion_id)

    assert found.state == state
    assert found.touched is ("applying" in kinds)
    assert (found.ended_at is None) is (state == "running")


@pytest.mark.parametrize("table", ["promotion", "promotion_carried", "promotion_event", "event"])
@pytest.mark.parametrize(
    "act",
    [
        "update preview_control.{} set {}",
        "delete from preview_control.{}",
        "truncate preview_control.{} cascade",
    ],
)
def test_nobody_can_change_or_remove_what_was_written(
    promotions: Promotions, preview: Preview, store: Store, table: str, act: str
) -> None:
    promotion_id = begin(promotions, preview)
    promotions.carry(promotion_id, "base", {"objects": []})
    column = "name = 'x'" if table == "promotion_carried" else "who = 'eve'"

    with pytest.raises(psycopg.errors.RaiseException, match=r"only (appended|added) to"):
        store._connection.execute(act.format(table, column).encode())

    assert promotions.get(promotion_id).who == "ada@test"


def test_what_is_carried_stays_as_it_was_first_written(promotions: Promotions, preview: Preview) -> None:
    promotion_id = begin(promotions, preview)
    promotions.carry(promotion_id, "base", {"first": 1})
    promotions.carry(promotion_id, "base", {"second": 2})

    assert promotions.carried(promotion_id, "base") == {"first": 1}
    assert promotions.carried(promotion_id, "after") is None


def test_a_refused_revert_does_not_count(promotions: Promotions, preview: Preview) -> None:
    promotion_id = begin(promotions, preview)
    refused = begin(promotions, preview, reverts=promotion_id)
    promotions.record(refused, "refused")
    assert promotions.revert_of(promotion_id) is None

    second = begin(promotions, preview, reverts=promotion_id)

    found = promotions.revert_of(promotion_id)
    assert found is not None
    assert (found.id, found.kind, found.reverts) == (second, "revert", promotion_id)
    assert [each.id for each in promotions.of_preview(preview.id)] == [promotion_id, refused, second]


def test_an_unknown_one_is_said_with_the_latest(
    promotions: Promotions, preview: Preview, open_store: Callable[..., Store]
) -> None:
    with pytest.raises(UnknownPromotion) as caught:
        promotions.get("nope")
    assert caught.value.hint == "nothing was promoted yet"
    promotion_id = begin(promotions, preview)

    with pytest.raises(UnknownPromotion) as caught:
        promotions.get("nope")
    assert promotion_id in caught.value.hint

    with pytest.raises(UnknownPromotion):
        open_store().promotions("embedded/other").get(promotion_id)
