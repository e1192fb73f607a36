"""Ids of Neon's shape, so that clients that tell ids from names by shape agree with us. Pure but for chance."""

import re
import secrets
import string
from typing import Final

#: What real clients take for a branch id (reference: neon-api.md, section 2).
BRANCH_ID: Final = re.compile(r"br-[a-z]+-[a-z]+-[a-z0-9]{8}")

_ADJECTIVES: Final = (
    "amber ancient autumn bitter bold broad calm clear cold cool crimson dark dawn dry falling flat floral frosty "
    "gentle green hidden holy icy late lively long lucky misty morning muddy nameless noisy old orange patient plain "
    "polished proud purple quiet rapid restless rough round royal shiny silent small snowy soft solitary sparkling "
    "spring square still summer sweet tiny twilight wandering weathered white wild winter wispy withered yellow young"
)
_NOUNS: Final = (
    "bar base bird block boat bonus bread breeze brook bush butterfly cake cell cherry cloud credit darkness dawn dew "
    "disk dream dust feather field fire firefly flower fog forest frog frost glade glitter grass hall hat haze heart "
    "hill king lab lake leaf limit math meadow mode moon morning mountain mouse mud night paper pine poetry pond queen "
    "rain recipe resonance rice river salad scene sea shadow shape silence sky smoke snow snowflake sound star sun "
    "surf term thunder tooth tree truth union unit violet voice water waterfall wave wildflower wind wood"
)
_LETTERS: Final = string.ascii_lowercase + string.digits


def _words() -> str:
    return f"{secrets.choice(_ADJECTIVES.split())}-{secrets.choice(_NOUNS.split())}"


def project_id() -> str:
    """Like ``old-violet-32930710``."""
    return f"{_words()}-{secrets.randbelow(90_000_000) + 10_000_000}"


def branch_id() -> str:
    """Like ``br-noisy-breeze-a5e59rrb``."""
    return f"br-{_words()}-{_letters()}"


def endpoint_id() -> str:
    """Like ``ep-misty-sea-a5833nbi``."""
    return f"ep-{_words()}-{_letters()}"


def timeline_id() -> str:
    """The name of a directory that takes a branch's place at a restore; no client sees it."""
    return f"tl-{_words()}-{_letters()}"


def base_id() -> str:
    """The name of a base; no client sees it."""
    return f"base-{_words()}-{_letters()}"


def spare_id() -> str:
    """The name of a warm spare; no client sees it."""
    return f"spare-{_words()}-{_letters()}"


def snapshot_id() -> str:
    """Like ``snap-quiet-dew-a5e59rrb``."""
    return f"snap-{_words()}-{_letters()}"


def _letters() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(8))
