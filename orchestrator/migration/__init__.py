"""How to get from one snapshot to another without hurting anyone. Never sees a driver, a clock or a file."""

from orchestrator.migration.resume import part_of

__all__ = ["part_of"]
