"""A report as one self-contained HTML page, or as Markdown for a pull request. Reads nothing but its templates."""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from orchestrator.pages.past import past_page
from orchestrator.pages.view import SIGNS, duration, page

#: A fence that no statement holds: GitHub ends a code block at the first line of as many backticks.
_FENCE = "````"
_FLAG = re.compile(r"(?<!\S)(--[a-z][a-z-]*)")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("orchestrator.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = duration
    environment.filters["flags"] = _flags
    return environment


def _flags(text: str) -> Markup:
    """Text with its ``--flags`` kept on one line: a browser breaks after each hyphen."""
    return Markup(_FLAG.sub(r'<span class="flag">\1</span>', str(Markup.escape(text))))  # noqa: S704 - escaped before


def html(value: Mapping[str, Any], *, commands: Iterable[tuple[str, str]] = ()) -> str:
    """One HTML page without any reference to another file; everything from outside is escaped."""
    return _environment().get_template("report.html").render(page=page(value, commands=commands), signs=SIGNS)


def promotion_html(value: Mapping[str, Any], *, reverted_by: Mapping[str, Any] | None = None) -> str:
    """A promotion or revert as one HTML page that a post-mortem can quote; everything from outside is escaped."""
    return (
        _environment().get_template("promotion.html").render(page=past_page(value, reverted_by=reverted_by))
    )


def markdown(value: Mapping[str, Any], *, commands: Iterable[tuple[str, str]] = ()) -> str:
    """GitHub's Markdown, at most a screen before the folded parts."""
    shown = page(value, commands=commands)
    lines = [f"## preview {shown.name}: {shown.verdict}", "", f"{shown.verdict_words.capitalize()}.", ""]
    lines += [
        f"- {line.sign} **{_text(line.subject)}**: {_text(line.message)}{_do(line.mitigation)}"
        for line in shown.reasons
    ]
    lines += ["", "| | |", "|---|---|", *(f"| {name} | {_text(text)} |" for name, text in shown.facts), ""]
    lines += _plan(shown.acts)
    lines += [f"- note: {_text(note)}" for note in shown.notes]
    if shown.locks:
        lines += [
            "",
            _text(shown.pause),
            "",
            "| table | lock | blocks | held | by |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {_text(relation)} | {mode} | {blocks} | {held} | {number} |"
            for relation, mode, blocks, held, number in shown.locks
        ]
    for table in shown.queries:
        lines += ["", f"<details><summary>{_text(table.title)}</summary>", "", _text(table.words), ""]
        lines += [f"| | {' | '.join(table.headings)} |", "|---" * (len(table.headings) + 1) + "|"]
        lines += [f"| {said} | {_text(text)} | {' | '.join(cells)} |" for said, text, cells in table.rows]
        lines += ["", "</details>"]
    counts = ", ".join(f"{count} {severity.replace('_', ' ')}" for severity, count in shown.counts)
    lines += ["", f"<details><summary>findings: {counts or 'none'}</summary>", ""]
    for check, found in shown.checks:
        lines += [f"**{_text(check)}**", ""]
        for line in found:
            aside = f" ({_text(line.aside)})" if line.aside else ""
            lines.append(
                f"- {line.sign} {line.word}: {_text(line.subject)}: {_text(line.message)}{_do(line.mitigation)}{aside}"
            )
        lines.append("")
    lines += ["</details>", ""]
    if shown.answers:
        lines += [
            "**answers**",
            "",
            *(f"- `{_code(each)}` = `{_code(answer)}`" for each, answer, _ in shown.answers),
            "",
        ]
    if shown.approval:
        lines += ["**approved** " + ", ".join(f"{name} {_text(text)}" for name, text in shown.approval), ""]
    lines += [f"- {what}: `{_code(command)}`" for what, command in shown.commands]
    return "\n".join(lines).rstrip() + "\n"


def _plan(acts: Iterable[Any]) -> list[str]:
    listed = list(acts)
    if not listed:
        return ["No statement is needed: both schemas are equal.", ""]
    lines = ["| # | statement | blocks | took | hazards |", "|---|---|---|---|---|"]
    for act in listed:
        hazards = ", ".join(title for _, title, _, _ in act.hazards)
        lines.append(
            f"| {act.number} | {_text(act.why)} | {act.strongest} | {duration(act.milliseconds)} | {_text(hazards)} |"
        )
    lines += ["", f"<details><summary>SQL of {len(listed)} statements</summary>", "", f"{_FENCE}sql"]
    lines += [f"{act.sql};" for act in listed]
    return [*lines, _FENCE, "", "</details>", ""]


def _do(mitigation: str) -> str:
    return f" - {_text(mitigation)}" if mitigation else ""


def _text(text: str) -> str:
    """Text that Markdown and the HTML in it leave alone, on one line."""
    one = " ".join(text.split())
    for sign in "\\`*_[]|~#":
        one = one.replace(sign, f"\\{sign}")
    return one.replace("&", "&amp;").replace("<", "&lt;").replace("@", "@\u200b")


def _code(text: str) -> str:
    """Text between single backticks."""
    return " ".join(text.split()).replace("`", "'").replace("|", "\\|")
