"""What every section is, and the sizes that they speak of. Reads nothing."""

import re

from pydantic import BaseModel, ConfigDict

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)
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


class Section(BaseModel):
    """What every section is: frozen, and without keys that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")
