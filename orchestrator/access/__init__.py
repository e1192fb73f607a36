"""Who may do what: roles, tokens, the audit. Knows no HTTP and no verb."""

from orchestrator.access.audit import Audit, Entry
from orchestrator.access.roles import Caller, Role
from orchestrator.access.tokens import Token, Tokens

__all__ = ["Audit", "Caller", "Entry", "Role", "Token", "Tokens"]
