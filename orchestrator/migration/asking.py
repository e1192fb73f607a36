"""Asking: questions, the answers that were given, and the defaults where nobody is to be asked. Pure: no I/O."""

from collections.abc import Iterable, Iterator

from orchestrator.errors import Refused, UsageError
from orchestrator.migration.offers import offer
from orchestrator.migration.recipes.columns import fill_id, needs_fill
from orchestrator.migration.work import Work
from orchestrator.schema.names import Key, quote
from orchestrator.schema.objects import Column
from orchestrator.schema.questions import Answers, Choice, Question


class Asking:
    """Collects every question of one plan, and says what is open."""

    def __init__(self, answers: Answers, *, assume_defaults: bool, trust_proofs: bool = False) -> None:
        self.answers = answers
        self.trust_proofs = trust_proofs
        self.assume_defaults = assume_defaults
        self.questions: list[Question] = []

    def ask(self, question: Question) -> str:
        """The answer; for an open question its default, provisionally.

        Raises:
            UsageError: the answer that was given is none of the choices.
        """
        self.questions.append(question)
        return self.take(question)

    def take(self, question: Question) -> str:
        """The answer to a question that is not put unless rows are at stake; else its default.

        Raises:
            UsageError: the answer that was given is none of the choices.
        """
        given = self.answers.get(question.id)
        if given is None:
            return (question.proved if self.trust_proofs else None) or question.default or "-"
        choices = [choice.value for choice in question.choices]
        if given in choices:
            return given
        if question.free_text:
            return expression(question.id, given)
        if given == "add" and question.kind == "rename":
            return "-"
        raise UsageError(
            f"the answer {given!r} to {question.id} is none of: {', '.join(choices)}",
            hint=f"answer with --answer '{question.id}={choices[0]}' or another of the choices",
        )

    def rename(self, questions: Iterable[Question]) -> Iterator[tuple[Question, str]]:
        """The questions that were answered with a rename, and the old name.

        Raises:
            UsageError: two objects are said to come from the same one.
        """
        taken: dict[tuple[str, str], str] = {}
        for question in questions:
            if not question.at_stake and question.id not in self.answers:
                continue  # the tables are empty: dropping and creating loses nothing, and claims nothing
            old = self.ask(question)
            if old == "-":
                continue
            where = question.id.rpartition(".")[0]
            if (where, old) in taken:
                raise UsageError(
                    f"both {taken[where, old]} and {question.id} are answered with {old!r}",
                    hint="only one of them can be what it was called before; answer the other with '-'",
                )
            taken[where, old] = question.id
            yield question, old

    @property
    def asked(self) -> tuple[Question, ...]:
        """Every question, sorted by id."""
        return tuple(sorted(self.questions, key=lambda each: each.id))

    @property
    def open(self) -> tuple[Question, ...]:
        """Questions without an answer, sorted by id; none when defaults are assumed.

        What value a column's rows get is not asked while it is open whether the column was only renamed.
        """
        if self.assume_defaults:
            return ()
        found = {
            each.id: each
            for each in self.questions
            if each.id not in self.answers and not (self.trust_proofs and each.proved)
        }
        moot = {
            each.replace("rename:column:", "fill:", 1) for each in found if each.startswith("rename:column:")
        }
        return tuple(found[each] for each in sorted(found) if each not in moot)

    @property
    def taken(self) -> dict[str, str]:
        """Answers that were taken for proved, by question."""
        trusted = self.questions if self.trust_proofs else ()
        return {each.id: each.proved for each in trusted if each.proved and each.id not in self.answers}

    @property
    def unused(self) -> tuple[str, ...]:
        """Ids of answers to questions that this plan does not ask."""
        asked = {each.id for each in self.questions}
        return tuple(sorted(each for each in self.answers if each not in asked))


def fill_questions(work: Work) -> Iterator[Question]:
    """Which value existing rows get in a new column that must have one; asked only where there are rows.

    A column that becomes NOT NULL takes such an answer too, but whether it holds NULL is for the data to say,
    so nobody is asked before the rehearsal looked.
    """
    for key in sorted(work.makes):
        if key.kind == "column" and needs_fill(work, key):
            column = work.after(key, Column)
            table = Key("table", key.path[:2])
            value = offer(column.type)
            choices = [Choice(value=value, label=f"every existing row gets {value}")] if value else []
            choices.append(Choice(value="-", label="no value: the migration fails while there are rows"))
            yield Question(
                id=fill_id(key),
                kind="fill",
                prompt=f"Which value do existing rows of {table.name} get in the new column {quote(key.path[-1])}?",
                choices=tuple(choices),
                evidence=(
                    f"{key.name} is {column.type} NOT NULL without a default",
                    f"{table.name} has {work.rows(table)}",
                ),
                default="-",
                free_text=True,
            )


def refuse_unfilled(questions: Iterable[Question], answers: Answers) -> None:
    """Refuse a plan that nobody was asked about and that its rows would make fail: no value is ever invented.

    Args:
        questions: all that a plan asks.
        answers: those that somebody gave.

    Raises:
        Refused: new columns must have a value in rows that are there; each is named, with the answers to give.
    """
    asked = sorted(questions, key=lambda each: each.id)
    missing = [each for each in asked if each.kind == "fill" and each.id not in answers]
    if not missing:
        return
    names = {each.id.removeprefix("fill:") for each in missing}
    renames = [each for each in asked if each.id.removeprefix("rename:column:") in names]
    offered = [f"--answer {each.id}={choice.value}" for each in renames for choice in each.choices[:1]]
    hint = " ".join(f"--answer {each.id}=EXPRESSION" for each in missing)
    raise Refused(
        "without an answer rows that are there would have no value: "
        + "; ".join(e.evidence[0] for e in missing),
        hint=f"give {hint}" + (f", or say that it is a rename: {' '.join(offered)}" if offered else ""),
    )


def expression(question: str, text: str) -> str:
    """A fill value as it may stand after DEFAULT: one expression, nothing that ends the statement.

    Raises:
        UsageError: it is empty, has an open quote or bracket, a comment or a semicolon outside of a string.
    """
    depth, quoted, i = 0, "", 0
    fault = "" if text.strip() else "it is empty"
    while i < len(text) and not fault:
        letter = text[i]
        if quoted:
            quoted = "" if letter == quoted else quoted
        elif letter in "'\"":
            quoted = letter
        elif letter in "()[]":
            depth += 1 if letter in "([" else -1
            fault = "a bracket closes that was never opened" if depth < 0 else ""
        elif letter in ";$\\" or text[i : i + 2] in {"--", "/*"}:
            fault = f"{text[i : i + 2].strip()!r} is not allowed in it"
        elif letter == "," and not depth:
            fault = "it is more than one expression"
        i += 1
    if not fault and (quoted or depth):
        fault = "a quote or bracket is left open"
    if fault:
        raise UsageError(
            f"the answer to {question} is no SQL expression: {fault}",
            hint="give one value, e.g. '0', \"'none'\" or 'now()'",
        )
    return f"({text.strip()})"
