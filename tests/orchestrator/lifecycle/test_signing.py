"""The signing key: one for a store, whoever asks first; another for each purpose."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from orchestrator.lifecycle import Store


def test_servers_that_ask_at_once_get_the_same_key(open_store: Callable[..., Store]) -> None:
    stores = [open_store() for _ in range(4)]

    with ThreadPoolExecutor(4) as threads:
        keys = set(threads.map(lambda store: store.signing_key("sessions"), stores))

    assert len(keys) == 1
    assert stores[0].signing_key("links") not in keys
    assert len(keys.pop()) == 32
