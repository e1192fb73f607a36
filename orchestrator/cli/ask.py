"""Questions at a terminal. Asks nobody who is not there: without a terminal the command rests with exit 3."""

import sys
from collections.abc import Iterable

from rich.markup import escape
from rich.prompt import Prompt

from orchestrator.cli.render import console
from orchestrator.schema.questions import Question


def can_ask() -> bool:
    """Whether a person sits at both ends."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(questions: Iterable[Question]) -> dict[str, str]:
    """Ask each question; numbers choose, free text is taken as it is where the question allows it."""
    out = console()
    answers: dict[str, str] = {}
    for question in questions:
        out.print(f"\n  [bold]{escape(question.prompt)}[/]")
        for fact in question.evidence:
            out.print(f"    - {escape(fact)}")
        for number, choice in enumerate(question.choices, 1):
            lost = "  [red](loses data)[/]" if choice.destructive else ""
            out.print(f"    {number}  {escape(choice.label)}{lost}")
        if not question.choices:
            answers[question.id] = Prompt.ask("  SQL expression", console=out)
            continue
        numbers = [str(number) for number in range(1, len(question.choices) + 1)]
        picked = Prompt.ask("  answer", console=out, choices=None if question.free_text else numbers)
        answers[question.id] = question.choices[int(picked) - 1].value if picked in numbers else picked
    return answers
