"""Values to a terminal or to JSON: the only place that writes to standard output and standard error.

Progress and errors go to standard error, results to standard output (DESIGN, section 6).
"""

import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from orchestrator.errors import OrchestratorError
from orchestrator.lifecycle import Preview, State
from orchestrator.pages.view import duration, uses
from orchestrator.schema.questions import Question

if TYPE_CHECKING:
    from orchestrator.pages.queries import QueryTable
    from orchestrator.pages.view import Line

_WORDS = {
    State.BRANCHING: "branch",
    State.MIGRATING: "migrate",
    State.LAUNCHING: "launch",
    State.CHECKING: "check",
    State.PROMOTING: "promote",
    State.DISCARDING: "discard",
}
#: How steps mark a detail that tells of a wait for somebody else: ``waits: for process 12, which ...``.
_WAITS = re.compile(r"(?:^|\s)waits: ")
#: How a detail ends that tells how far something is.
_PART = re.compile(r"^(?P<what>.*): (?P<percent>\d{1,3}) %$", re.DOTALL)
#: How long a bar is, in characters.
_BAR = 20
#: At most one line about a wait in this time, in seconds.
WAIT_SECONDS = 5.0
_COLOURS = {"ok": "green", "attention": "yellow", "blocked": "red", "not_looked_at": "dim"}


def console() -> Console:
    """Standard error, for people."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def stdout() -> Console:
    """Standard output, for results that people read."""
    return Console(file=sys.stdout, highlight=False, soft_wrap=True)


class _Standing:
    """Whether this process wrote a result already."""

    output = False


def result(text: str) -> None:
    """One result on standard output."""
    _Standing.output = True
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def result_json(value: object) -> None:
    """A JSON value on standard output."""
    result(json.dumps(value, indent=2, ensure_ascii=False))


def error_json(problem: OrchestratorError, exit_code: int | None = None) -> None:
    """The error as a JSON value on standard output, unless something stands there already: never two values."""
    if _Standing.output:
        return
    code = problem.exit_code if exit_code is None else exit_code
    what = {"message": problem.message, "hint": problem.hint, "detail": problem.detail, "exit_code": code}
    result_json({"error": what})


def bar(percent: int) -> str:
    """How far something is: ``████░░░░  37 %``."""
    full = min(max(percent, 0), 100) * _BAR // 100
    return f"{'█' * full}{'░' * (_BAR - full)} {percent:>3} %"


class Progress:
    """One line per step on standard error, written when it ends; a spinner while it runs, on a terminal.

    Without a terminal nobody sees a spinner: then a wait for somebody else is told by lines.

    Args:
        quiet: print nothing.
        clock: seconds that never go back.
    """

    def __init__(self, *, quiet: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console()
        self._quiet = quiet
        self._clock = clock
        self._wait_told: float | None = None
        self._status: Status | None = None
        self._word = ""

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def started(self, preview: Preview) -> None:
        """See lifecycle.Observer."""
        self._word = _WORDS.get(preview.state, preview.state.value)
        self._spin("")

    def detail(self, text: str) -> None:
        """See lifecycle.Observer."""
        if text.startswith("| "):
            self._said(text)
        elif self._console.is_terminal:
            part = _PART.match(text)
            self._spin(f"{part['what']}  {bar(int(part['percent']))}" if part else text)
        elif _WAITS.search(text) or _PART.match(text):
            self._wait(text)

    def finished(self, preview: Preview, state: State, note: str, milliseconds: float) -> None:  # noqa: ARG002
        """See lifecycle.Observer."""
        self._line(_WORDS.get(state, state.value), note, milliseconds)

    def failed(self, preview: Preview, state: State, message: str, milliseconds: float) -> None:  # noqa: ARG002
        """See lifecycle.Observer."""
        self._line(_WORDS.get(state, state.value), "failed", milliseconds, style="red")

    def rest(self) -> None:
        """End the spinner: something else will be written."""
        self._stop()

    def say(self, text: str) -> None:
        """A line that belongs to no step."""
        self._stop()
        if not self._quiet:
            self._console.print(text, markup=False)

    def _line(self, word: str, note: str, milliseconds: float, style: str = "") -> None:
        self._stop()
        if not self._quiet:
            body = f"[{style}]{escape(note)}[/]" if style else escape(note)
            self._console.print(f"  {word:<9} {body}  [dim]{duration(milliseconds)}[/]")

    def _said(self, text: str) -> None:
        """A line of a program that runs for us, in its place above the spinner."""
        if not self._quiet:
            self._console.print(f"  {self._word:<9} {text}", markup=False, style="dim")

    def _wait(self, text: str) -> None:
        """A line about a wait, or how far something is, unless one was written a moment ago."""
        now = self._clock()
        if self._quiet or (self._wait_told is not None and now - self._wait_told < WAIT_SECONDS):
            return
        self._wait_told = now
        self._console.print(f"  {self._word:<9} {text}", markup=False)

    def _spin(self, text: str) -> None:
        if self._quiet or not self._console.is_terminal:
            return
        shown = f"{self._word:<9} {text}"
        if self._status is None:
            self._status = self._console.status(escape(shown))
            self._status.start()
        else:
            self._status.update(escape(shown))

    def _stop(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None


def error(problem: OrchestratorError) -> None:
    """What went wrong, on which object, what to do next."""
    out = console()
    out.print(f"[red]error:[/] {escape(problem.message)}")
    if problem.detail:
        for line in problem.detail.splitlines():
            out.print(f"  {line}", markup=False)
    if problem.hint:
        out.print(f"[dim]next:[/] {escape(problem.hint)}")


def questions(asked: Iterable[Question]) -> None:
    """Questions with their evidence and the answers that fit."""
    out = console()
    for question in asked:
        out.print(f"\n  [bold]{escape(question.prompt)}[/]")
        for fact in question.evidence:
            out.print(f"    - {fact}", markup=False)
        for choice in question.choices:
            lost = "  [red](loses data)[/]" if choice.destructive else ""
            out.print(f"    {escape(f'{question.id}={choice.value}')}  {escape(choice.label)}{lost}")
        if question.free_text:
            out.print(f"    {question.id}=SQL-EXPRESSION", markup=False)


def plan(value: Mapping[str, Any], *, to_stdout: bool = False) -> None:
    """The statements of a plan with their reasons, locks, hazards and, when rehearsed, what was measured."""
    out = stdout() if to_stdout else console()
    statements = value["statements"]
    if not statements:
        out.print("  nothing to do: both schemas are equal")
    for number, statement in enumerate(statements, 1):
        measured = ""
        if trace := statement.get("trace"):
            measured = f"  [dim]{duration(trace['milliseconds'])} on the branch[/]"
        out.print(f"  {number:>2}  {escape(statement['why'])}{measured}")
        for line in statement["sql"].splitlines():
            out.print(f"      [cyan]{escape(line)}[/]")
        if statement["lock"] != "none" and statement["lock_on"]:
            out.print(f"      [dim]{statement['lock']} on {escape(', '.join(statement['lock_on']))}[/]")
        for hazard in statement["hazards"]:
            scale = f"  [dim]{escape(hazard['scale'])}[/]" if hazard.get("scale") else ""
            out.print(f"      [yellow]{hazard['code']}[/] {escape(hazard['detail'])}{scale}")
    codes = sorted({hazard["code"] for statement in statements for hazard in statement["hazards"]})
    if codes:
        out.print(f"  [dim]safe forms: {', '.join(f'docs/hazards.md#{code}' for code in codes)}[/]")
    for note in value.get("notes", ()):
        out.print(f"  note: {note}", markup=False)


def report(value: Mapping[str, Any]) -> None:
    """The verdict and every finding, what matters first."""
    out = console()
    verdict = value["verdict"]
    out.print(f"  verdict [{_COLOURS.get(verdict, 'white')}]{verdict}[/]")
    order = ["blocked", "attention", "not_looked_at", "ok"]
    for finding in sorted(value["findings"], key=lambda each: order.index(each["severity"])):
        colour = _COLOURS[finding["severity"]]
        word = finding["severity"].replace("_", " ")
        out.print(
            f"    [{colour}]{word:<13}[/] {escape(finding['check'])}: "
            f"{escape(finding['subject'])}: {escape(finding['message'])}"
        )


def whole_report(value: Mapping[str, Any], commands: Iterable[tuple[str, str]]) -> None:
    """The report on standard output: verdict and reasons, each statement with what it took, every finding."""
    from orchestrator.pages.view import page

    shown = page(value)
    out = stdout()
    colour = _COLOURS.get(shown.verdict, "white")
    out.print(f"{escape(shown.name)}  [{colour}]{shown.verdict}[/]: {shown.verdict_words}")
    for line in shown.reasons:
        _finding_line(out, line)
    out.print(f"\nplan, {len(shown.acts)} statement{'s' * (len(shown.acts) != 1)}")
    for act in shown.acts:
        took = duration(act.milliseconds) if act.milliseconds is not None else "not measured"
        bar = "█" * max(1, act.share // 10) if act.share else ""
        out.print(f"  {act.number:>2}  {escape(act.why)}")
        waits = f"blocks {act.strongest}"
        more = "".join(f", {name} {text}" for name, text in act.measured)
        rewrote = f", rewrote {', '.join(act.rewritten)}" if act.rewritten else ""
        out.print(f"      [dim]{took:>9} {bar:<10} {escape(waits + rewrote + more)}[/]")
        for code, _, detail, _ in act.hazards:
            out.print(f"      [yellow]{code}[/] {escape(detail)}")
    for note in shown.notes:
        out.print(f"  note: {note}", markup=False)
    if shown.locks:
        out.print("\nlocks taken")
        _rows(
            out,
            ("table", "lock", "blocks", "held", "by"),
            [
                ("", relation, (mode, blocks, held, f"statement {number}"))
                for relation, mode, blocks, held, number in shown.locks
            ],
        )
    _query_tables(out, shown.queries)
    for check, lines in shown.checks:
        out.print(f"\n{check}", markup=False)
        for line in lines:
            _finding_line(out, line)
    if shown.approval:
        out.print("\napproved " + ", ".join(f"{name} {text}" for name, text in shown.approval), markup=False)
    for what, command in commands:
        out.print(f"\n{what}\n  {command}", markup=False)


def _query_tables(out: Console, tables: "Iterable[QueryTable]") -> None:
    for each in tables:
        out.print(f"\n{each.title.lower()}: {each.words}", markup=False)
        _rows(out, each.headings, each.rows)


def _rows(out: Console, headings: Sequence[str], rows: Sequence[tuple[str, str, tuple[str, ...]]]) -> None:
    """A table where it fits; else, and with long texts, each row by itself: nothing is cut off."""
    longest = [max(len(each), *(len(row[2][n]) for row in rows)) for n, each in enumerate(headings[1:])]
    first = max((len(said) for said, _, _ in rows), default=0)
    text = max(len(headings[0]), *(len(text) for _, text, _ in rows))
    if 2 + first + text + sum(longest) + 2 * (len(longest) + 2) > out.width:
        for said, text_of, cells in rows:
            told = "; ".join(f"{name}: {cell}" for name, cell in zip(headings[1:], cells, strict=True))
            out.print(f"  {f'{said:<{first}}  ' if first else ''}{text_of}", markup=False)
            out.print(f"  {' ' * (first + 2 if first else 2)}{told}", markup=False, style="dim")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("  " if first else "")
    table.add_column(headings[0], no_wrap=True)
    for heading in headings[1:]:
        table.add_column(heading, no_wrap=True, justify="left" if not first else "right")
    for said, text_of, cells in rows:
        table.add_row(f"  {said}", escape(text_of), *(escape(cell) for cell in cells))
    out.print(table)


def _finding_line(out: Console, line: "Line") -> None:
    colour = _COLOURS.get(line.severity, "dim")
    out.print(f"  [{colour}]{line.word:<13}[/] {escape(line.subject)}: {escape(line.message)}")
    if line.mitigation:
        out.print(f"                do: {line.mitigation}", markup=False)
    if line.aside:
        out.print(f"                {line.aside}", markup=False)


def previews(values: Iterable[Mapping[str, Any]]) -> None:
    """A table on standard output: name, state, URL, age, what it takes and costs."""
    table = Table(box=None, pad_edge=False)
    for heading in ("NAME", "STATE", "URL", "BRANCH", "CREATED", "USES"):
        table.add_column(heading, no_wrap=True)
    for value in values:
        branch = value["branch"]["name"] if value["branch"] else ""
        table.add_row(
            value["name"],
            value["state"]
            + ", asleep" * bool(value.get("sleeping_since"))
            + ", stopped" * bool(value.get("stopped")),
            value["url"] or "",
            branch,
            value["created_at"][:16].replace("T", " "),
            uses(value.get("usage")),
        )
    width = None if sys.stdout.isatty() else 200
    Console(file=sys.stdout, highlight=False, width=width).print(table)


def tokens(values: Iterable[Mapping[str, Any]]) -> None:
    """A table on standard output: id, whose, role, state, until when, last used, what for."""
    table = Table(box=None, pad_edge=False)
    for heading in ("ID", "WHO", "ROLE", "STATE", "UNTIL", "LAST USED", "NOTE"):
        table.add_column(heading, no_wrap=True)
    for value in values:
        used = (value["last_used_at"] or "never")[:16].replace("T", " ")
        until = value["expires_at"][:10]
        row = (value["id"], value["who"], value["role"], value["state"], until, used, value["note"])
        table.add_row(*(escape(cell) for cell in row))
    width = None if sys.stdout.isatty() else 200
    Console(file=sys.stdout, highlight=False, width=width).print(table)


def letters(values: Iterable[Mapping[str, Any]]) -> None:
    """One line a message on standard output: when, to whom, what, how it stands."""
    for value in values:
        why = f"  {value['why']}" if value["why"] else ""
        tried = f"  tried {value['attempts']} times" if value["attempts"] > 1 else ""
        result(
            f"{value['created_at'][:16].replace('T', ' ')}  {value['target']}  {value['what']}  {value['preview']}  "
            f"{value['state']}{tried}{why}"
        )


def history(events: Iterable[Mapping[str, Any]]) -> None:
    """One line an event on standard output: when, which, what, who, how long."""
    for event in events:
        took = f"  {duration(event['milliseconds'])}" if event["milliseconds"] is not None else ""
        note = f"  {event['note']}" if event["note"] else ""
        at = event["at"][:19].replace("T", " ")
        what = f"{event['kind']} -> {event['state']}"
        if event.get("promotion"):
            what = f"promotion {event['promotion']}: {event['kind'].replace('_', ' ')}"
        result(f"{at}  {event['name']}  {what}{note}  by {event['who']}{took}")


def wide_table(table: Table) -> None:
    """A table on standard output; in a pipe nothing of it is cut off."""
    width = None if sys.stdout.isatty() else 200
    Console(file=sys.stdout, highlight=False, width=width).print(table)


def shares(values: Iterable[Mapping[str, Any]]) -> None:
    """One line a link on standard output: id, state, until when, for whom."""
    for value in values:
        until = value["expires_at"][:16].replace("T", " ")
        result(
            f"{value['id']}  {value['state']:<7}  until {until}  by {value['made_by']}  {value['note']}".rstrip()
        )
