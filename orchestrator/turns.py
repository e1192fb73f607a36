"""Waiting for the turn on production: whoever came first goes first. Knows no adapter."""

from collections.abc import Callable
from typing import TypeVar

from orchestrator.errors import PromotionUnderWay
from orchestrator.lifecycle.line import Line

T = TypeVar("T")


def in_turn(
    line: Line,
    purpose: str,
    act: Callable[[], T],
    *,
    under_way: Callable[[], str],
    wait: Callable[[str], bool],
) -> T:
    """Do what needs the turn on main when it is ours.

    Args:
        line: who waits for this production.
        purpose: what for, in words.
        act: what needs the turn; takes it by itself.
        under_way: who changes main at this moment, in words.
        wait: asked while somebody else is before us, who is named; it waits a little and returns True to look again,
            or returns False to give up.

    Raises:
        PromotionUnderWay: somebody else has the turn, or came before, and `wait` gave up.
    """
    with line.place(purpose) as number:
        holder = line.ahead(number)
        while True:
            if not holder:
                try:
                    return act()
                except PromotionUnderWay as taken:
                    if not wait(under_way() or taken.message):
                        raise
            elif not wait(holder):
                raise PromotionUnderWay(
                    f"production is taken: {holder}",
                    hint="try again when that is done, or wait for it: add --wait",
                )
            holder = line.ahead(number) or under_way()
