"""Share links in the diary: what opens what, for how long, and for whom no more."""

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.errors import UsageError
from orchestrator.lifecycle import Preview, State, Store


@pytest.fixture
def one(store: Store) -> Preview:
    return store.create(name="one", project="embedded/p-1", facts={})


@pytest.fixture
def other(store: Store) -> Preview:
    return store.create(name="other", project="embedded/p-1", facts={})


def test_a_link_opens_its_own_preview_and_no_other(store: Store, one: Preview, other: Preview) -> None:
    shares = store.shares()
    share, secret = shares.make(one.id, lasts=timedelta(days=2), by="ada", note="Grace, design")
    used = shares.use(secret, one.id)
    assert used is not None
    assert used.grants == f"share:{share.id}"
    assert shares.use(secret, other.id) is None
    assert shares.use(secret[:-1] + ("0" if secret[-1] != "0" else "1"), one.id) is None
    assert shares.use("' or true --", one.id) is None
    assert shares.good() == {f"share:{share.id}": one.id}
    assert secret not in str(store._connection.execute("select * from preview_control.share").fetchall())


def test_an_expired_or_revoked_one_opens_nothing(store: Store, one: Preview, other: Preview) -> None:
    shares = store.shares()
    short, first = shares.make(one.id, lasts=timedelta(microseconds=1), by="ada")
    long, second = shares.make(one.id, lasts=timedelta(days=1), by="ada")
    assert shares.use(first, one.id) is None
    with pytest.raises(UsageError, match="no link"):
        shares.revoke(other.id, long.id, by="bob")
    assert shares.use(second, one.id)
    shares.revoke(one.id, long.id, by="bob")
    revoked = shares.revoke(one.id, long.id, by="eve")
    assert revoked.revoked_by == "bob"
    assert shares.use(second, one.id) is None
    assert shares.good() == {}
    states = {each.id: each.to_json(datetime.now(UTC))["state"] for each in shares.of(one.id)}
    assert states == {short.id: "expired", long.id: "revoked"}


def test_one_for_one_use_is_good_once_and_is_not_listed(store: Store, one: Preview) -> None:
    shares = store.shares()
    _, secret = shares.make(one.id, lasts=timedelta(minutes=1), by="ada", grants="token:12345678", once=True)
    used = shares.use(secret, one.id)
    assert used is not None
    assert used.grants == "token:12345678"
    assert shares.use(secret, one.id) is None
    assert shares.of(one.id) == ()
    assert shares.good() == {}


@pytest.mark.parametrize("lasts", [timedelta(0), timedelta(days=-1), timedelta(days=91)])
def test_it_lasts_some_time_and_not_for_ever(store: Store, one: Preview, lasts: timedelta) -> None:
    with pytest.raises(UsageError, match="90 days"):
        store.shares().make(one.id, lasts=lasts, by="ada")


def test_the_links_of_a_preview_open_the_one_that_takes_its_place(store: Store, one: Preview) -> None:
    shares = store.shares()
    _, secret = shares.make(one.id, lasts=timedelta(days=1), by="ada")
    with store.lease(one.id) as lease:
        for to in (State.MIGRATING, State.LAUNCHING, State.CHECKING, State.READY):
            store.record(lease, to=to, kind="step")
    shadow = store.create(name="one", project="embedded/p-1", facts={}, shadow=True)
    with store.lease(one.id) as old, store.lease(shadow.id) as new:
        store.change_places(old, new, note="rebased")
    assert shares.use(secret, shadow.id)
    assert shares.use(secret, one.id) is None
