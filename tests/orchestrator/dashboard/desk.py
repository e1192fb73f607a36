"""A desk on a real diary whose verbs only remember that they were asked; and previews as the steps would leave them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from orchestrator.access import Caller, Role
from orchestrator.acts import ACTS, Asked, check
from orchestrator.acts.sharing import Sharing
from orchestrator.approval import Guards
from orchestrator.checks.report import Finding, Report, Severity
from orchestrator.dashboard.at_site import link_of
from orchestrator.dashboard.desk import Job, Link, Mail, Place, WayBack
from orchestrator.dashboard.offers import Rules
from orchestrator.errors import NotAllowed, NotRecognised, OrchestratorError
from orchestrator.lifecycle import Preview, State, Store
from orchestrator.lifecycle.promotions import Promotions
from orchestrator.migration.locks import LockMode
from orchestrator.migration.plan import Hazard, Plan, Statement
from orchestrator.schema.questions import Choice, Question
from orchestrator.schema.shown import Difference
from orchestrator.settings import Settings

PROJECT = "embedded/p-1"
ORIGIN = "http://localhost:8600"
PEOPLE = {
    "vera": Role.VIEWER,
    "dan": Role.DEVELOPER,
    "ada": Role.APPROVER,
    "root": Role.ADMIN,
}
#: Verbs that the table of acts may not have yet.
FURTHER = {
    "rebase": Role.DEVELOPER, "sleep": Role.DEVELOPER, "wake": Role.DEVELOPER, "extend": Role.DEVELOPER,
    "revert": Role.APPROVER,
}  # fmt: skip


class FakeDesk:
    """Everybody's token is `token-NAME`."""

    def __init__(self, open_store: Callable[..., Store]) -> None:
        self._open = open_store
        self._stores: dict[str, Store] = {}
        self.place = Place(origin=ORIGIN, others=frozenset({"http://127.0.0.1:8600"}))
        self.rules = Rules(
            verbs=frozenset(
                {"up", "answer", "approve", "promote", "discard", "revert", "rebase", "sleep", "wake"}
                | {"extend", "keep", "restore"}
            )
        )
        self.sharing = sharing()
        self.guards = Guards(blocking=frozenset({"deletes_data"}), allowed=frozenset())
        self.project = PROJECT
        self.asked: list[tuple[str, str, Mapping[str, Any], str]] = []
        self.refusals: list[tuple[str, str, str]] = []
        self.jobs: dict[str, Job] = {}
        self.said: list[str] = []
        self.log_lines: Sequence[str] = ()
        self.sent: tuple[Mail, ...] = ()
        self.fails: OrchestratorError | None = None
        self.gone: set[str] = set()
        self.outlook = WayBack(
            does=("On production: put it back.", "Rows that were written since stay."), digest="a" * 64
        )
        self.to_point = WayBack(does=("Lost: everything that was written since.",), digest="c" * 64)
        self.author_may_approve = True

    @contextmanager
    def store(self, who: str) -> Iterator[Store]:
        if who not in self._stores:
            self._stores[who] = self._open(who)
        yield self._stores[who]

    @contextmanager
    def promotions(self, who: str) -> Iterator[Promotions]:
        with self.store(who) as store:
            yield store.promotions(PROJECT)

    def sign_in(self, token: str, *, address: str) -> Caller:
        found = self.caller(token)
        if found is None or not token:
            raise NotRecognised("the token is not known")
        return found

    def caller(self, token_id: str) -> Caller | None:
        if token_id == "" and self.place.local:
            return Caller(who="me@here", role=Role.ADMIN)
        name = token_id.removeprefix("token-")
        if name not in PEOPLE or name in self.gone:
            return None
        return Caller(who=name, role=PEOPLE[name], token=token_id)

    def forbids(self, verb: str, caller: Caller, preview: Preview | None) -> str:
        asked = (
            ACTS[verb].asked if verb in ACTS else Asked(role=FURTHER[verb], own=verb in ("rebase", "extend"))
        )
        try:
            check(asked, caller, preview, author_may_approve=self.author_may_approve)
        except NotAllowed as error:
            return error.message
        return ""

    def refused(self, caller: Caller | None, action: str, *, on: str, why: str) -> None:
        self.refusals.append((caller.who if caller else "nobody", action, on))

    def do(self, verb: str, name: str, arguments: Mapping[str, Any], caller: Caller) -> None:
        if self.fails:
            raise self.fails
        self.asked.append((verb, name, arguments, caller.who))

    def reverting(self, promotion_id: str, caller: Caller, *, to_restore_point: bool = False) -> WayBack:
        return self.to_point if to_restore_point else self.outlook

    def job(self, name: str) -> Job | None:
        return self.jobs.get(name)

    def lines(self, name: str, after: int) -> tuple[int, Sequence[str]]:
        return len(self.said), self.said[after:]

    def log(self, preview: Preview, service: str) -> Iterator[str]:
        return iter(self.log_lines)

    def services(self, preview: Preview) -> tuple[str, ...]:
        return ()

    def mails(self, preview: Preview) -> tuple[Mail, ...]:
        return self.sent

    def mail(self, preview: Preview, mail_id: str) -> Mail | None:
        return next((each for each in self.sent if each.id == mail_id), None)

    def no_links(self) -> str:
        return self.sharing.why_not()

    def forbids_sharing(self, caller: Caller, preview: Preview) -> str:
        return self.sharing.forbids(caller, preview)

    def links(self, name: str, caller: Caller) -> tuple[Link, ...]:
        with self.store(caller.who) as store:
            return tuple(map(link_of, reversed(self.sharing.of(store, name))))

    def make_link(self, name: str, caller: Caller, *, lasts: timedelta, note: str) -> str:
        with self.store(caller.who) as store:
            return str(self.sharing.make(store, caller, name, lasts=lasts, note=note)["url"])

    def revoke_link(self, name: str, caller: Caller, link_id: str) -> None:
        with self.store(caller.who) as store:
            self.sharing.revoke(store, caller, name, link_id)


def sharing(*, gateway: bool = True) -> Sharing:
    """Share links as the settings of a team would have them."""
    settings = Settings.model_validate(
        {
            "project": {"name": "p-1", "database": "shop"},
            "goal": {"branch": "development"},
            "gateway": {"enabled": gateway, "domain": "preview.example.com"},
        }
    )
    return Sharing(settings, project=PROJECT)


def question(text: str) -> Question:
    return Question(
        id=f"rename:column:public.{text}",
        kind="rename",
        prompt=f"Was customers.name renamed to {text}?",
        choices=(
            Choice(value="name", label=f"{text} was name: the values are kept"),
            Choice(value="-", label="it is new, and name is dropped", destructive=True),
        ),
        evidence=(f"both are text; 5,000 rows hold a name {text}",),
        default="-",
    )


def facts(text: str, *, url: str = "http://127.0.0.1:20000") -> dict[str, Any]:
    """Everything that a ready preview's row holds, with a text at every place that comes from outside."""
    plan = Plan(
        base="main-1",
        goal="goal-1",
        notes=(text,),
        statements=(
            Statement(
                sql=f'alter table public.customers rename column name to "{text}"',
                why=f"rename {text}",
                lock=LockMode.ACCESS_EXCLUSIVE,
                lock_on=(text,),
                late=False,
            ),
            Statement(
                sql="create index concurrently orders_at on public.orders (at)",
                why="index what the new page sorts by",
                lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
                lock_on=("public.orders",),
                transactional=False,
                late=False,
            ),
            Statement(
                sql=f"alter table public.customers drop column fax -- {text}",
                why=f"drop column fax {text}",
                lock=LockMode.ACCESS_EXCLUSIVE,
                lock_on=("public.customers",),
                hazards=(Hazard(code="deletes_data", on=text, detail=f"5,000 values are lost {text}"),),
                late=True,
            ),
        ),
    )
    value = plan.to_json()
    for number, statement in enumerate(value["statements"]):
        statement["trace"] = {
            "milliseconds": (1.5, 840.0, 12.0)[number],
            "locks": [[text, statement["lock"]]],
            "rewritten": [],
        }
    report = Report(
        findings=(
            Finding(check="rows", severity=Severity.OK, subject=text, message=f"kept {text}"),
            Finding(
                check="queries", severity=Severity.ATTENTION, subject=text, message=text, mitigation=f"mend {text}"
            ),
        ),
        measures={
            "pause": {"tables": [text], "total_ms": 13.5, "longest_ms": 12.0, "longest_at": 3, "blocks": "reads"},
            "workload": [
                {
                    "outcome": "slower", "name": text, "before_ms": 1.0, "after_ms": 2.0, "ratio": 2.0,
                    "rows_before": 1, "rows_after": 1,
                }
            ],
        },
    )  # fmt: skip
    return {
        "url": url,
        "branch": {"id": "br-1", "name": f"preview/{text}"},
        "base": "main-1",
        "goal": "goal-1",
        "reached": "goal-1",
        "image": {"id": "sha256:0123456789abcdef", "reference": text},
        "runtime": "process",
        "answers": {f"rename:{text}": text},
        "plan": value,
        "report": report.to_json(),
        "differences": {
            "objects": [
                Difference(
                    subject=f"table {text}",
                    change="changed",
                    before=(
                        "TABLE public.customers",
                        "  id integer NOT NULL",
                        "  name text",
                        f"  fax text {text}",
                    ),
                    after=("TABLE public.customers", "  id integer NOT NULL", f"  full_name text {text}"),
                ).to_json()
            ],
            "left_out": 0,
        },
    }


def ran(text: str, *, sql: str) -> dict[str, Any]:
    """A statement as a promotion writes it down, with a text at every place that comes from outside."""
    return {
        "number": 1,
        "why": text,
        "sql": sql,
        "began_at": "2026-11-28T12:00:00+00:00",
        "tries": 1,
        "waited_for": [text],
        "hazards": [{"code": text}],
        "lock": "AccessExclusiveLock",
        "lock_on": [text],
        "trace": {"milliseconds": 3.0, "locks": [[text, "AccessExclusiveLock"]]},
    }


def bring(
    store: Store,
    name: str,
    to: State,
    given: Mapping[str, Any],
    *,
    error: Mapping[str, Any] | None = None,
    project: str = PROJECT,
) -> Preview:
    """A preview in a state, with the events on its way."""
    preview = store.create(name=name, project=project, facts={"runtime": "process", "answers": {}})
    way = {
        State.WAITING: (State.MIGRATING, State.WAITING),
        State.FAILED: (State.FAILED,),
        State.CLOSED: (State.DISCARDING, State.CLOSED),
        State.READY: (State.MIGRATING, State.LAUNCHING, State.CHECKING, State.READY),
    }[to]
    with store.lease(preview.id) as lease:
        for state in way:
            last = state is way[-1]
            preview = store.record(
                lease,
                to=state,
                kind="failed" if state is State.FAILED else "step",
                note=f"{state} {given.get('note', '')}",
                facts={key: value for key, value in given.items() if key != "note"} if last else {},
                error=error if last else None,
                milliseconds=12.5,
            )
    return preview
