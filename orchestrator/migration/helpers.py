"""Names of helper objects that a plan makes and removes again, derived so that every run finds the same. Pure."""

import hashlib

from orchestrator.schema.names import HELPER_PREFIX, Key


def helper_name(purpose: str, key: Key, *more: str) -> str:
    """A reserved name of at most 63 bytes: what it is for and a hash of what it belongs to."""
    content = "\x1f".join((purpose, key.kind, *key.path, *more))
    return f"{HELPER_PREFIX}{purpose.replace(' ', '_')}_{hashlib.sha256(content.encode()).hexdigest()[:12]}"
