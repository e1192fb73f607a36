"""An approval: a person's yes as a value, bound to the facts it was given for; and what stands in its way.

Reads rows; changes nothing.
"""

import hashlib
import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.checks.policy import unallowed
from orchestrator.checks.report import Report
from orchestrator.errors import HazardNotAllowed, Refused
from orchestrator.facts import promote_command
from orchestrator.lifecycle import Preview
from orchestrator.migration.plan import Hazard, Plan

#: What each fact is called in a refusal, in the order in which they are named.
_WORDS = {
    "plan_digest": "the plan",
    "main_fingerprint": "main's schema",
    "main_lsn": "the point of main that was branched",
    "goal_fingerprint": "the goal's schema",
    "branch_fingerprint": "the branch's schema",
    "image": "the image",
    "answers": "the answers",
    "report_digest": "the report",
}
#: Facts with a digest or a name of their own.
_PARTS = (("plan", "digest"), ("report", "digest"), ("image", "id"), ("main", "lsn"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A person's yes.

    Attributes:
        facts: what it was given for; see ``facts_of``.
        allowed: hazards and blocking findings that were allowed by name.
        who: the person and machine.
        at: when, RFC 3339.
        note: what the person wrote with it; may be empty.
        beforehand: whether it was given by `approve`; False when `promote` itself was the yes, which binds
            that one run only.
    """

    facts: Mapping[str, Any]
    allowed: tuple[str, ...] = ()
    who: str = ""
    at: str = ""
    note: str = ""
    beforehand: bool = True

    def to_json(self) -> dict[str, Any]:
        """``{"who", "at", "note", "allowed", "beforehand"}`` and the facts by name."""
        return {
            "who": self.who,
            "at": self.at,
            "note": self.note,
            "allowed": list(self.allowed),
            "beforehand": self.beforehand,
            **self.facts,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Approval":
        """The reverse of to_json."""
        return cls(
            facts={name: value.get(name) for name in _WORDS},
            allowed=tuple(value["allowed"]),
            who=value["who"],
            at=value["at"],
            note=value["note"],
            beforehand=value["beforehand"],
        )


def facts_of(preview: Preview) -> dict[str, Any]:
    """The facts of a rehearsed preview that a yes is bound to; digests and fingerprints are SHA-256 (hex)."""
    facts = preview.facts
    answers = json.dumps(facts.get("answers", {}), sort_keys=True)
    return {
        "plan_digest": facts["plan"]["digest"],
        "main_fingerprint": facts["base"],
        "main_lsn": (facts.get("main") or {}).get("lsn"),
        "goal_fingerprint": facts["goal"],
        "branch_fingerprint": facts["reached"],
        "image": (facts.get("image") or {}).get("id"),
        "answers": hashlib.sha256(answers.encode()).hexdigest(),
        "report_digest": Report.from_json(facts["report"]).digest,
    }


def looked_at(preview: Preview) -> str:
    """What there is to look at before a yes, as one digest, SHA-256 (hex): another one when it is rehearsed anew."""
    facts = preview.facts
    parts = [(facts.get(name) or {}).get(key) for name, key in _PARTS]
    whole = [facts.get(name) for name in ("base", "goal", "reached", "answers")]
    content = json.dumps([preview.id, preview.state.value, *parts, *whole], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def assert_looked_at(preview: Preview, looked: str) -> None:
    """Refuse a yes to a ready preview that was given for something else; one that names nothing is taken as it is.

    A yes waits for its turn, and whoever made the preview may have brought it up anew meanwhile.

    Raises:
        Refused: it is not what was looked at.
    """
    if looked and looked != looked_at(preview):
        raise Refused(
            f"{preview.name} is not what it was when you said yes: it was brought up anew meanwhile",
            hint=f"`preview report {preview.name}` shows what it is now; then say yes to that",
        )


def moved(approval: Approval, now: Mapping[str, Any]) -> tuple[str, ...]:
    """What is not as it was when the approval was given, in words with both values; empty when it holds."""
    said = []
    for name, word in _WORDS.items():
        then, is_now = approval.facts.get(name), now.get(name)
        if then != is_now:
            said.append(f"{word} ({_short(then)} then, {_short(is_now)} now)")
    return tuple(said)


def _short(value: object) -> str:
    text = str(value) if value else "none"
    return text.removeprefix("sha256:")[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """What a yes must get past, by the settings.

    Attributes:
        blocking: hazard codes that stop a promotion.
        allowed: hazards and findings that the settings allow, ``code`` or ``code:object``.
        required: whether a promotion needs an approval that was given before it.
    """

    blocking: frozenset[str]
    allowed: frozenset[str]
    required: bool = False

    def refused_hazards(self, plan: Plan, allowed: Iterable[str] = ()) -> tuple[Hazard, ...]:
        """The hazards that stop a promotion: blocking by the settings and allowed neither by code nor by name."""
        yes = self.allowed | frozenset(allowed)
        return tuple(
            hazard
            for hazard in plan.hazards
            if hazard.code in self.blocking and hazard.code not in yes and hazard.name not in yes
        )

    def approval(
        self,
        preview: Preview,
        *,
        allow: Iterable[str],
        who: str,
        at: str,
        note: str = "",
        beforehand: bool = True,
    ) -> Approval:
        """A yes to a ready preview, if nothing stands in its way.

        Raises:
            HazardNotAllowed: a blocking hazard is not allowed by name; prints the flags.
            Refused: the report blocks it.
        """
        given = frozenset(allow)
        refused = self.refused_hazards(Plan.from_json(preview.facts["plan"]), given)
        if refused:
            verb = "approve" if beforehand else "promote"
            raise HazardNotAllowed(
                f"{preview.name}: {'; '.join(hazard.detail for hazard in refused)}",
                hint=f"if that is wanted: {promote_command(preview.name, refused, given=given, verb=verb)}",
            )
        blocked = unallowed(Report.from_json(preview.facts["report"]), self.allowed | given)
        if blocked:
            raise Refused(
                f"{preview.name}: the report blocks it: {blocked[0].subject}: {blocked[0].message}",
                hint=f"`preview report {preview.name}` says more; if it is wanted all the same: "
                f"{shlex.join(['--allow', blocked[0].name])}",
            )
        return Approval(
            facts=facts_of(preview),
            allowed=tuple(sorted(self.allowed | given)),
            who=who,
            at=at,
            note=note,
            beforehand=beforehand,
        )

    def holding(self, preview: Preview, now: Mapping[str, Any]) -> Approval | None:
        """The approval that was given before, if it still holds; None when none was given and none is needed.

        Args:
            preview: a ready preview.
            now: its facts as they are at this moment.

        Raises:
            Refused: something moved since, or an approval is required and there is none.
        """
        given = preview.facts.get("approval")
        if given is None or not given["beforehand"]:
            if self.required:
                raise Refused(
                    f"nobody approved {preview.name} yet, and promote.approval is `required`",
                    hint=f"`preview report {preview.name}`, then `preview approve {preview.name}`",
                )
            return None
        approval = Approval.from_json(given)
        gone = moved(approval, now)
        if gone:
            raise Refused(
                f"the approval of {preview.name} by {approval.who} does not hold any more: {'; '.join(gone)}",
                hint=f"`preview up {preview.name}` brings it up to date; then look at it and "
                f"`preview approve {preview.name}` again",
            )
        return approval
