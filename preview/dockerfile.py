"""Reads from a Dockerfile's text which images it starts from. Pure; understands only what that takes."""

import re
from collections.abc import Mapping

_SYNTAX = re.compile(r"^#\s*syntax\s*=\s*(\S+)\s*$", re.IGNORECASE)
_DIRECTIVE = re.compile(r"^#\s*[a-z]+\s*=", re.IGNORECASE)
_ARG = re.compile(r"^ARG\s+(\w+)(?:=(\S*))?", re.IGNORECASE)
_FROM = re.compile(r"^FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?\s*$", re.IGNORECASE)
_COPY_FROM = re.compile(r"^(?:COPY|ADD)\s+(?:--\S+\s+)*?--from=(\S+)", re.IGNORECASE)
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?:(:?[-+])([^}]*))?\}|(\w+))")


def syntax_image(text: str) -> str | None:
    """The image that a `# syntax=` line names; it counts only among the directives at the very top."""
    for line in text.splitlines():
        if found := _SYNTAX.match(line.strip()):
            return found[1]
        if not _DIRECTIVE.match(line.strip()):
            return None
    return None


def base_images(text: str, build_args: Mapping[str, str]) -> tuple[str, ...]:
    """The images that the build needs from elsewhere, in order, each once.

    Stages of the file itself, `scratch`, and references whose variables we cannot fill are left out: the builder
    then speaks for itself.
    """
    arguments: dict[str, str] = {}
    stages: set[str] = set()
    needed: dict[str, None] = {}
    in_stage = False
    for line in re.sub(r"\\[ \t]*\r?\n", " ", text).splitlines():
        instruction = line.strip()
        if (argument := _ARG.match(instruction)) and not in_stage:
            value = build_args.get(argument[1], (argument[2] or "").strip("\"'"))
            arguments[argument[1]] = _filled(value, arguments) or ""
        elif found := _FROM.match(instruction):
            in_stage = True
            _add(needed, _filled(found[1].strip("\"'"), arguments), stages)
            if found[2]:
                stages.add(found[2].lower())
        elif copied := _COPY_FROM.match(instruction):
            reference = copied[1].strip("\"'")
            _add(needed, None if "$" in reference or reference.isdigit() else reference, stages)
    return tuple(needed)


def _add(needed: dict[str, None], reference: str | None, stages: set[str]) -> None:
    if reference and reference != "scratch" and reference.lower() not in stages:
        needed[reference] = None


def _filled(value: str, arguments: Mapping[str, str]) -> str | None:
    """The value with its variables replaced; None when one of them has no value."""
    unknown = False

    def replacement(found: re.Match[str]) -> str:
        nonlocal unknown
        known = arguments.get(found[1] or found[4], "")
        if found[2] and found[2].endswith("-"):
            return known or found[3]
        if found[2]:
            return found[3] if known else ""
        unknown = unknown or not known
        return known

    filled = _VARIABLE.sub(replacement, value)
    return None if unknown or not filled else filled
