"""What exists on a preview's account, wherever it is. Every kind of thing is in the ledger, or a test fails."""

from orchestrator.resources.ledger import KINDS, Ledger, Seen, Unseen
from orchestrator.resources.thing import Kind, Thing, World

__all__ = ["KINDS", "Kind", "Ledger", "Seen", "Thing", "Unseen", "World"]
