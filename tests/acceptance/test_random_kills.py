"""A team's previews while its workers and its server are killed at random: none lost, none doubled, nothing left."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from orchestrator.access import Role
from orchestrator.lifecycle import State
from tests.acceptance.crew import Crew, Outcome, open_crew
from tests.acceptance.inside import must
from tests.acceptance.scenes import Stand
from tests.acceptance.shop import Shop, processes_with
from tests.acceptance.small import GOAL

Make = Callable[..., Shop]

KILLS = 200
CONCURRENT = 20
WORKERS = 4
#: Between two kills, in seconds: a worker lives for about five times as long.
PAUSE = (0.2, 1.4)
LONGEST_SECONDS = 2400
#: What a person does again: production was somebody else's at that moment, or it has moved and the plan with it.
_AGAIN = ("PromotionUnderWay", "HazardNotAllowed")


@dataclass
class Course:
    """One preview and what is asked for it, one act after another.

    Attributes:
        name: the preview's.
        acts: what is still to be asked.
        end: how it is to end: ``ready``, ``promoted``, ``discarded``.
        early: whether the last act is asked as soon as there is a row, while the first is being worked on.
        asked: the ids of its jobs, in order.
        waits: whether the last of them is still worked on.
        number: of requests, so that one that is sent twice is one job.
    """

    name: str
    acts: list[str]
    end: str
    early: bool = False
    asked: list[str] = field(default_factory=list)
    waits: bool = False
    number: int = 0

    @property
    def over(self) -> bool:
        return not self.acts and not self.waits


def courses(generation: int) -> list[Course]:
    """Twenty previews: eight stay up, four are promoted, eight are discarded."""
    kinds = (
        *[(["up"], "ready", False)] * 5,
        *[(["up", "rebase"], "ready", False)] * 2,
        (["up", "approve"], "ready", False),
        *[(["up", "promote"], "promoted", False)] * 4,
        *[(["up", "discard"], "discarded", False)] * 5,
        *[(["up", "discard"], "discarded", True)] * 3,
    )
    assert len(kinds) == CONCURRENT
    return [
        Course(f"p-{generation}-{number}", list(acts), end, early)
        for number, (acts, end, early) in enumerate(kinds)
    ]


@dataclass
class Team:
    """Who asks, and who is killed."""

    crew: Crew
    token: str
    random: random.Random
    killed: Counter[str] = field(default_factory=Counter)
    due: float = 0.0
    told: Counter[str] = field(default_factory=Counter)

    def run(self, wanted: list[Course], kills: int) -> None:
        """Ask until all courses are over; meanwhile kill."""
        until = time.monotonic() + LONGEST_SECONDS
        while not all(course.over for course in wanted):
            assert time.monotonic() < until, [course for course in wanted if not course.over]
            jobs, names = self.crew.look()
            for course in wanted:
                self._step(course, jobs, names)
            if sum(self.killed.values()) < kills:
                self._kill_when_due()
            time.sleep(0.1)  # between two looks; nothing is expected to have happened by then

    def _kill_when_due(self) -> None:
        if time.monotonic() < self.due:
            return
        victim = self.random.choice(sorted(self.crew.pids))
        self.crew.kill(victim)
        self.killed[victim] += 1
        self.begin(victim)
        self.due = time.monotonic() + self.random.uniform(*PAUSE)

    def begin(self, name: str) -> None:
        if name.startswith("serve"):
            self.crew.serve(name)
        else:
            self.crew.work(name)

    def _step(self, course: Course, jobs: dict[str, Outcome], live: set[str]) -> None:
        if course.waits:
            job = jobs.get(course.asked[-1])
            assert job is not None, f"job {course.asked[-1]} of {course.name} is lost"
            if job.ended:
                course.waits = False
                self._judge(course, job)
            elif course.early and course.acts == ["discard"] and course.name in live:
                course.waits = False
        if course.acts and not course.waits:
            self._ask(course, course.acts[0])

    def _judge(self, course: Course, job: Outcome) -> None:
        if job.error is None:
            return
        said = f"{job.error['kind']}: {job.error['message']}"
        self.told[job.error["kind"]] += 1
        if job.error["kind"] in _AGAIN or (job.act == "promote" and "rehearsed again on main" in said):
            course.acts.insert(0, job.act)
            return
        assert course.early, f"{job.act} {course.name} failed: {said} ({job.error['detail']})"

    def _ask(self, course: Course, act: str) -> None:
        """Ask the server; when it does not answer, the same request is sent again at the next look."""
        port = self.crew.ports["serve"]
        try:
            answer = httpx.post(
                f"http://127.0.0.1:{port}/api/v1/previews/{course.name}/{act}",
                json={},
                headers={
                    "authorization": f"Bearer {self.token}",
                    "idempotency-key": f"{course.name}.{course.number}",
                },
                timeout=10,
                trust_env=False,
            )
        except httpx.HTTPError:
            return
        if answer.status_code == 503:
            return
        assert answer.status_code == 202, f"{act} {course.name}: {answer.status_code} {answer.text}"
        course.asked.append(answer.json()["id"])
        course.acts.pop(0)
        course.number += 1
        course.waits = True


@pytest.fixture
def crew(make_small_shop: Make, enterable: Path) -> Iterator[Crew]:
    with open_crew(make_small_shop, enterable) as made:
        yield made


def has_ended_as_wanted(crew: Crew, wanted: list[Course]) -> None:
    """Each preview is what it was to become, once; each job has ended."""
    rows = crew.rows()
    jobs = crew.jobs()
    assert [job.to_json() for job in jobs if not job.ended] == []
    with crew.store() as store:
        waiting = store.connection.execute(
            "select args from preview_jobs.procrastinate_jobs where task_name = 'perform'"
        ).fetchall()
        promotions = store.promotions(crew.project).all()
        history = store.history()
    asked = {job_id for course in wanted for job_id in course.asked}
    assert sum(len(set(course.asked)) for course in wanted) == len(asked)
    assert waiting == []
    for course in wanted:
        mine = [row for row in rows if row.name == course.name]
        live = [row for row in mine if row.state is not State.CLOSED]
        done = [each for each in promotions if each.preview_name == course.name and each.state == "done"]
        closed = [event for name, event in history if name == course.name and event.state is State.CLOSED]
        if course.end == "ready":
            assert [row.state for row in live] == [State.READY], (course, live)
        else:
            assert live == [], (course, live)
        assert len(done) == (course.end == "promoted"), (course, done)
        # A rebase closes the row that it replaces.
        assert len(closed) >= len(mine) - len(live)
        assert Counter(each.state for each in promotions if each.preview_name == course.name)["running"] == 0
        assert len({job.id for job in jobs if job.preview_name == course.name}) == len(course.asked), course


def are_whole(crew: Crew) -> None:
    """Each live preview has one branch, one app, and its URL answers; nothing else is there."""
    live = [row for row in crew.rows() if row.state is not State.CLOSED]
    shop = crew.shop
    branches = [each.name for each in shop.neon.branches(shop.project_id) if not each.default]
    kept = sorted(name for name in branches if not name.startswith("restore/"))
    assert kept == sorted(row.facts["branch"]["name"] for row in live)
    apps = {row.name: len(processes_with(f"PREVIEW_URL={row.facts['url']}")) for row in live}
    assert len(set(apps.values())) <= 1, apps
    for row in live:
        assert httpx.get(row.facts["url"], trust_env=False).status_code == 200


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_two_hundred_random_kills_lose_and_double_nothing(crew: Crew, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    survive(crew, tmp_path, seed, KILLS)


def survive(crew: Crew, folder: Path, seed: int, kills: int) -> None:
    team = Team(crew, crew.token(Role.ADMIN, "ada"), random.Random(seed))
    began = time.monotonic()
    for name in ("serve", *(f"worker-{number}" for number in range(WORKERS))):
        team.begin(name)
    everything: list[Course] = []
    stays: list[Course] = []
    columns: list[str] = []
    generation = 0
    while not generation or sum(team.killed.values()) < kills:
        columns.append(f"extra_{generation} int")
        goal = GOAL.removesuffix(")")
        (crew.shop.folder / "goal" / "1.sql").write_text(f"{goal}, {', '.join(columns)});\n")
        ends = [
            Course(each.name, ["discard"], "discarded", asked=each.asked, number=each.number)
            for each in stays
        ]
        fresh = courses(generation)
        team.run([*fresh, *ends], kills)
        everything = [*(each for each in everything if each not in stays), *ends, *fresh]
        stays = [each for each in fresh if each.end == "ready"]
        has_ended_as_wanted(crew, everything)
        are_whole(crew)
        generation += 1
    seconds = time.monotonic() - began
    print(
        f"seed {seed}: {sum(team.killed.values())} kills {dict(team.killed)} in {seconds:.0f} s, {generation} times "
        f"{CONCURRENT} previews, {len(crew.jobs())} jobs, most attempts {max(job.attempts for job in crew.jobs())}, "
        f"told {dict(team.told)}"
    )
    goal_columns = {"id", "text", "seen", *(each.split()[0] for each in columns)}
    assert crew.shop.columns(crew.shop.uri(), "notes") == goal_columns
    ends = [
        Course(each.name, ["discard"], "discarded", asked=each.asked, number=each.number) for each in stays
    ]
    team.run(ends, 0)
    crew.end()
    played = Stand(crew.shop, folder)
    must(crew.shop, played.audit, log=played.log)
