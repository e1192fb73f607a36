"""Questions that facts cannot decide, and their answers. Pure: no I/O of any kind."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: question id -> the value of the chosen choice (or free text, for questions that allow it)
Answers = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One possible answer.

    Attributes:
        value: what goes after ``=`` in ``--answer ID=VALUE``; stable and free of blanks where possible.
        label: what a person reads, e.g. ``customers.name was renamed to customers.full_name (keeps its data)``.
        destructive: whether choosing it loses data.
    """

    value: str
    label: str
    destructive: bool = False

    def to_json(self) -> dict[str, Any]:
        """A JSON object with ``value``, ``label`` and ``destructive``."""
        return {"value": self.value, "label": self.label, "destructive": self.destructive}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Something only a person can decide.

    Attributes:
        id: stable over runs and machines, made of the kind and the object's name, e.g.
            ``rename:column:public.customers.full_name``.
        kind: ``rename`` | ``fill`` | ``narrow``.
        prompt: the question itself, one sentence.
        choices: the answers, best first; empty when free text is asked (kind ``fill``).
        evidence: the facts for and against, one short sentence each.
        default: the answer that invents nothing (``--no-questions``): not a rename, no value; or None
            when nothing can be done without an answer.
        proved: the answer that physical identity speaks for, or None; taken unasked only where the settings say so.
        at_stake: whether rows depend on the answer; else nobody is asked, though an answer that was given counts.
            Not in the JSON: what is asked is always at stake.
        free_text: whether an answer outside ``choices`` is taken (an SQL expression for kind ``fill``).
    """

    id: str
    kind: str
    prompt: str
    choices: tuple[Choice, ...] = ()
    evidence: tuple[str, ...] = ()
    default: str | None = None
    free_text: bool = field(default=False)
    proved: str | None = None
    at_stake: bool = field(default=True, compare=False)

    def to_json(self) -> dict[str, Any]:
        """All attributes by name, and ``flags``: each choice as a shell takes it."""
        return {
            "id": self.id,
            "kind": self.kind,
            "prompt": self.prompt,
            "choices": [choice.to_json() for choice in self.choices],
            "evidence": list(self.evidence),
            "default": self.default,
            "free_text": self.free_text,
            "proved": self.proved,
            "flags": [f"--answer {shlex.quote(f'{self.id}={choice.value}')}" for choice in self.choices],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Question":
        """The reverse of to_json."""
        return cls(
            id=value["id"],
            kind=value["kind"],
            prompt=value["prompt"],
            choices=tuple(Choice(**choice) for choice in value["choices"]),
            evidence=tuple(value["evidence"]),
            default=value["default"],
            free_text=value["free_text"],
            proved=value.get("proved"),
        )
