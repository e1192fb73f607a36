"""The answers file: what was decided about the migration, kept beside preview.toml for review in Git.

Reads and writes one small TOML file. Knows nothing of questions but how their ids begin.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from orchestrator.errors import UsageError

#: How the id of a question begins, by what it asks (docs: `preview answer --help`).
KINDS = ("rename", "fill", "narrow", "label", "orphans")

_HEADER = """\
# What was decided about the migration: the answers to the questions of `preview up` and `preview plan`.
# Reviewed with the code that needs them; an answer that no question asks for any more is named and does no harm.

[answers]
"""
_LINE = re.compile(r'^\s*("(?:[^"\\]|\\.)*")\s*=')


def read_answers(file: Path) -> dict[str, str]:
    """The answers in a file, by question; none when there is no such file.

    Raises:
        UsageError: it cannot be read, is not TOML, or holds what is no answer; says what and where.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(f"cannot read the answers file {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the answers file {file} is not TOML: {error}", hint='write [answers], then "ID" = "VALUE" lines'
        ) from None
    more = sorted(set(content) - {"answers"})
    answers = content.get("answers", {})
    if more or not isinstance(answers, dict):
        raise UsageError(
            f"{file}: {more[0] if more else 'answers'} is not known there",
            hint='write [answers], then "ID" = "VALUE" lines',
        )
    for question, value in answers.items():
        if question.partition(":")[0] not in KINDS or ":" not in question:
            raise UsageError(
                f"{file}: {question!r} is no question's id",
                hint=f"ids begin with {', '.join(f'{kind}:' for kind in KINDS)} and are quoted",
            )
        if not isinstance(value, str):
            raise UsageError(f"{file}: the answer to {question} is not a text", hint='write it as "..."')
    return answers


def write_answers(file: Path, answers: Mapping[str, str]) -> bool:
    """Add answers to a file, or change them there; its comments and order stay. Says whether anything changed.

    Raises:
        UsageError: the file cannot be read or written.
    """
    before = read_answers(file)
    changed = {question: value for question, value in answers.items() if before.get(question) != value}
    if not changed:
        return False
    text = file.read_text(encoding="utf-8") if before or file.exists() else _HEADER
    if "[answers]" not in text:
        text = f"{text.rstrip()}\n\n[answers]\n".lstrip()
    lines = text.rstrip("\n").split("\n")
    for i, line in enumerate(lines):
        match = _LINE.match(line)
        if match and (question := json.loads(match[1])) in changed:
            lines[i] = _line(question, changed.pop(question))
    lines += [_line(question, changed[question]) for question in sorted(changed)]
    try:
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write the answers file {file}: {error.strerror}") from None
    return True


def _line(question: str, value: str) -> str:
    """One line; JSON's strings are TOML's but for DEL."""
    return " = ".join(
        json.dumps(each, ensure_ascii=False).replace("\x7f", "\\u007f") for each in (question, value)
    )
