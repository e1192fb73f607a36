"""Secrets out of texts, by how they look: for what comes from foreign programs. Knows no value and no setting.

Our own values are hidden by their type (`neon_client.Secret`); this is the second net, at every edge.
"""

import re

_HIDDEN = "***"
#: What holds a URL, and in it, up to its last at-sign, the password: postgresql://role:password@host. It may hold an
#: unescaped slash or at-sign.
_WORD = re.compile(r"[^\s'\"]+")
_IN_URL = re.compile(r"(?P<kept>://[^:/@]*:).+")
# Whoever writes a log line chooses what is looked through here: no pattern may need more than time in proportion.
_PATTERNS = (
    # libpq's key/value form, variables and JSON that name themselves; not `public.users.password: 3 rows`.
    (
        re.compile(
            r"(?P<kept>(?:password|passwd|secret|api_?key|access_?key|private_?key)\w{0,64}(?:\s*=\s*|['\"]\s*:\s*))"
            r"(?:'[^']*'|\"[^\"]*\"|[^\s,;&'\"]+)",
            re.IGNORECASE,
        ),
        rf"\g<kept>{_HIDDEN}",
    ),
    (re.compile(r"(?P<kept>\b(?:Bearer|Basic)\s+)[A-Za-z0-9._~+/=-]{8,}"), rf"\g<kept>{_HIDDEN}"),
    # Neon's API keys and the passwords it makes; our own tokens and share links.
    (re.compile(r"\b(?:napi|npg)_[A-Za-z0-9]{8,}"), _HIDDEN),
    (
        re.compile(r"\b(?P<kept>(?:preview_[a-z]{1,20}|share)_[0-9a-f]{8}_)[0-9a-f]{64}"),
        rf"\g<kept>{_HIDDEN}",
    ),
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
        ),
        _HIDDEN,
    ),
)


def clean(text: str) -> str:
    """The text with everything that looks like a secret replaced by ``***``."""
    if "://" in text and "@" in text:
        text = _WORD.sub(lambda word: _without_password(word[0]), text)
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


def _without_password(word: str) -> str:
    before, at, rest = word.rpartition("@")
    return _IN_URL.sub(rf"\g<kept>{_HIDDEN}", before) + at + rest
