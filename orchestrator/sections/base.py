"""What every section is, and the sizes and durations that they speak of. Reads nothing."""

import re
from datetime import timedelta

from pydantic import BaseModel, ConfigDict

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)
_DURATION = re.compile(r"(\d+)\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def parse_size(text: str) -> int:
    """Bytes of a size such as ``512m`` or ``1.5 GiB`` (units of 1024).

    Raises:
        ValueError: it is not a size.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size; write for example 512m or 2g")
    return int(float(match[1]) * _UNITS[match[2].lower()])


def checked_size(text: str) -> str:
    """The text, when it is a size."""
    parse_size(text)
    return text


def parse_duration(text: str) -> timedelta:
    """The time that ``90s``, ``30m``, ``12h``, ``7d`` or ``2w`` means; ``0`` is none.

    Raises:
        ValueError: it is not a duration.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None and text.strip() != "0":
        raise ValueError(f"{text!r} is not a duration; write for example 12h, 7d or 2w")
    try:
        return timedelta(seconds=int(match[1]) * _SECONDS[match[2]]) if match else timedelta(0)
    except OverflowError:
        raise ValueError(f"{text!r} is longer than anybody can wait") from None


def checked_duration(text: str) -> str:
    """The text, when it is a duration."""
    parse_duration(text)
    return text


class Section(BaseModel):
    """What every section is: frozen, and without keys that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")
