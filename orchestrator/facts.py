"""What the diary's rows say, read: a preview's JSON, its open questions, its history. Changes nothing."""

import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from orchestrator.checks.report import Finding
from orchestrator.errors import UnknownPreview, UsageError
from orchestrator.lifecycle import Event, Preview, State, Store
from orchestrator.migration.plan import Hazard
from orchestrator.schema.questions import Question
from orchestrator.settings import check_name


def past(store: Store, name: str | None, *, project: str | None = None) -> tuple[tuple[str, Event], ...]:
    """Events of one preview (also when it is closed already, and from before it was rebased), or of all.

    Args:
        store: the diary.
        name: of the one preview; None: all.
        project: whose previews; None: anybody's.

    Raises:
        UnknownPreview: there never was one of this name.
    """
    if name is None:
        return store.history(project=project)
    check_name(name)
    found = store.find_last(name, project=project)
    if found is None:
        raise UnknownPreview(f"there never was a preview {name!r}", hint="`preview list --all` shows all")
    rows = [found]
    while before := rows[-1].facts.get("rebases"):
        rows.append(store.get(before))
    told = [event for each in reversed(rows) for event in store.history(each.id)]
    return tuple(sorted(told, key=lambda each: each[1].at))


def whose(store: Store, name: str, own: Callable[[], str]) -> str | None:
    """The project whose preview of this name is meant; None where only one had any, whichever that is.

    Args:
        store: the diary, which may be many projects'.
        name: the preview's.
        own: asked for the key of the project that one is in, when there is a choice.
    """
    projects = store.projects_with(name)
    if len(projects) < 2:
        return None
    mine = own()
    return mine if mine in projects else None


def promotions_json(store: Store, project: str | None) -> list[dict[str, Any]]:
    """Promotions and reverts of a project (None: of all), oldest first, each with the revert that took it back."""
    promotions = store.promotions(project)
    found = []
    for each in promotions.all():
        revert = promotions.revert_of(each.id) if each.kind == "promotion" else None
        found.append({**each.to_json(), "reverted_by": revert.id if revert else None})
    return found


def migration_log(preview: Preview) -> tuple[str, ...]:
    """The last lines of the migration command on the preview's branch, also of one that failed; without secrets."""
    kept = (preview.facts.get("command") or {}).get("log")
    if kept is None and preview.error and preview.error.get("state") == "migrating":
        return tuple((preview.error.get("detail") or "").splitlines())
    return tuple(kept or ())


def open_questions(preview: Preview) -> tuple[Question, ...]:
    """The questions that a waiting preview has no answer to."""
    answered = {**preview.facts.get("proved", {}), **preview.facts.get("answers", {})}
    questions = tuple(Question.from_json(value) for value in preview.facts.get("questions", ()))
    return tuple(question for question in questions if question.id not in answered)


def check_answers(questions: Iterable[Question], answers: Mapping[str, str]) -> None:
    """Refuse an answer that fits no question.

    Raises:
        UsageError: names the id and what would fit.
    """
    known = {question.id: question for question in questions}
    for question_id, value in answers.items():
        question = known.get(question_id)
        if question is None:
            raise UsageError(
                f"there is no open question {question_id!r}",
                hint=f"open questions: {', '.join(known) or 'none'}",
            )
        choices = [choice.value for choice in question.choices]
        if value not in choices and not question.free_text:
            raise UsageError(
                f"{value!r} is no answer to {question_id}", hint=f"answers: {', '.join(choices)}"
            )


def answer_command(preview: Preview, questions: Iterable[Question]) -> str:
    """The command that answers, with a choice filled in for each question; it can be run as it is.

    Each gets its first choice, but one old name is never given to two new ones.
    """
    taken: set[tuple[str, str]] = set()
    words = []
    for question in questions:
        where = question.id.rpartition(".")[0]
        free = (each.value for each in question.choices if (where, each.value) not in taken)
        value = next(free, question.default or "SQL-EXPRESSION")
        if question.kind == "rename" and value != question.default:
            taken.add((where, value))
        words.append(shlex.quote(f"{question.id}={value}"))
    return f"preview answer {preview.name} {' '.join(words)}"


def promote_command(
    name: str, allowed: Iterable[Hazard | Finding], *, given: Iterable[str] = (), verb: str = "promote"
) -> str:
    """The command that promotes and allows these by name, fit for a shell whatever the objects are called.

    Args:
        name: the preview's.
        allowed: what has to be allowed.
        given: what was allowed already, by name; it has to be said again.
        verb: another command that takes the same flags.
    """
    names = [*sorted(given), *(each.name for each in allowed)]
    return shlex.join(["preview", verb, name, *(word for each in names for word in ("--allow", each))])


def clicked(facts: Mapping[str, Any]) -> str | None:
    """The URL that people are given: the gateway's for a team, else the one on this machine.

    `NAME.localhost` is left to those who know it: browsers resolve it, most programs do not.
    """
    public = facts.get("public_url")
    return (
        public if public and not str(urlsplit(public).hostname).endswith(".localhost") else facts.get("url")
    )


def previews_json(store: Store, previews: Iterable[Preview]) -> list[dict[str, Any]]:
    """The JSON of several, each with whether its promotion stopped half-way and nobody goes on with it."""
    found = list(previews)
    promoting = [each.id for each in found if each.state is State.PROMOTING]
    stopped = set(promoting) - store.worked_on(promoting)
    return [{**preview_json(each), "stopped": each.id in stopped} for each in found]


def preview_json(preview: Preview) -> dict[str, Any]:
    """The JSON of a preview (DESIGN, section 6)."""
    facts = preview.facts
    plan, used = facts.get("plan"), facts.get("usage")
    return {
        "name": preview.name,
        "id": preview.id,
        "state": preview.state.value,
        "wanted": preview.wanted.value,
        "shadow": preview.shadow,
        "project": preview.project,
        "url": clicked(facts),
        "local_url": facts.get("url"),
        "public_url": facts.get("public_url"),
        "sleeping_since": facts.get("sleeping_since"),
        "branch": facts.get("branch"),
        "image": facts.get("image"),
        "runtime": facts.get("runtime"),
        "plan": {
            "digest": plan["digest"] if plan else None,
            "statements": plan["statements"] if plan else [],
            "notes": plan["notes"] if plan else [],
            "questions": list(facts.get("questions", ())),
        },
        "differences": facts.get("differences"),
        "reverse": facts.get("reverse"),
        "answers": facts.get("answers", {}),
        "report": facts.get("report"),
        "command": facts.get("command"),
        "approval": facts.get("approval"),
        "promotion": facts.get("promotion"),
        "expanded": facts.get("expanded"),
        "release": facts.get("release"),
        "usage": {name: value for name, value in used.items() if name != "branches"} if used else None,
        "error": preview.error,
        "created_by": preview.created_by,
        "created_at": preview.created_at.isoformat(),
        "expires_at": preview.expires_at.isoformat() if preview.expires_at else None,
    }
