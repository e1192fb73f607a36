"""Where a promotion came from and where it was going, also when it did not get there. Reads the diary; touches nothing.

What it has done by now lies between the two: what is left to do is a part of what was approved, as when it goes on.
"""

from dataclasses import dataclass, replace

from orchestrator.errors import Refused
from orchestrator.lifecycle import Promotion, Promotions
from orchestrator.migration.planner import Planned
from orchestrator.schema.catalog import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Road:
    """What lies before and after a promotion.

    Attributes:
        base: main before it.
        end: main after it; where it was going, when it did not get there.
        whole: whether it got there.
    """

    base: Snapshot
    end: Snapshot
    whole: bool

    def done(self, planned: Planned, now: Snapshot) -> Planned:
        """What planning came to, without the statements that take away what is there as it was."""
        if self.whole or planned.plan is None:
            return planned
        there = {key.name for key, thing in self.base.objects.items() if now.objects.get(key) == thing}
        ran = tuple(
            statement
            for statement in planned.plan.statements
            if not any(each.code == "deletes_data" and each.on in there for each in statement.hazards)
        )
        return replace(planned, plan=replace(planned.plan, statements=ran))


def road(promotions: Promotions, promotion: Promotion) -> Road:
    """The road of a promotion.

    Raises:
        Refused: nothing of it is on production, or it was begun by a version that did not write down where it goes.
    """
    name = promotion.preview_name
    if not promotion.touched or promotion.state == "refused":
        raise Refused(
            f"the promotion {promotion.id} of {name} is {promotion.state}; nothing of it is on production",
            hint="there is nothing to take back; `preview history` tells what was promoted",
        )
    base, after, goal = (promotions.carried(promotion.id, each) for each in ("base", "after", "goal"))
    end = after or goal
    if base is None or end is None:
        raise Refused(
            f"the promotion {promotion.id} of {name} did not come to its end, and nobody wrote down where it goes",
            hint=f"`preview promote {name}` goes on with it; then it can be reverted",
        )
    return Road(base=Snapshot.from_json(base), end=Snapshot.from_json(end), whole=after is not None)
