"""The diary: durable states, history and the reconciler. Knows nothing of plans, Neon or containers."""

from orchestrator.lifecycle.engine import Engine, Observer, Step
from orchestrator.lifecycle.promotions import Promotion, Promotions
from orchestrator.lifecycle.record import Event, Preview
from orchestrator.lifecycle.states import Advance, Next, Rest, State, Wanted
from orchestrator.lifecycle.store import Store

__all__ = [
    "Advance",
    "Engine",
    "Event",
    "Next",
    "Observer",
    "Preview",
    "Promotion",
    "Promotions",
    "Rest",
    "State",
    "Step",
    "Store",
    "Wanted",
]
