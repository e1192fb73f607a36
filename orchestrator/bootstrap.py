"""From settings to a controller: the only room that knows every adapter. Decides nothing about previews."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from orchestrator.admission import Admission
from orchestrator.approval import Guards
from orchestrator.checks.policy import Policy
from orchestrator.checks.sums import Limits
from orchestrator.controller import Controller
from orchestrator.errors import StepFailed
from orchestrator.healing import Healing
from orchestrator.hooks import Hooks
from orchestrator.lifecycle import Engine, Observer, Preview, State, Store
from orchestrator.lifetime import Lifetime
from orchestrator.mail import Mailbox
from orchestrator.migration.keeping import Keeping
from orchestrator.migration.online import Online
from orchestrator.opening import EMBEDDED, open_neon, open_store, runtime
from orchestrator.postgres.care import Care
from orchestrator.projects import find_project
from orchestrator.resources import Ledger, World
from orchestrator.reverting import Reverts
from orchestrator.sections import parse_duration, parse_size
from orchestrator.settings import Settings, home
from orchestrator.sleeping import Sleeping
from orchestrator.steps.border import translating
from orchestrator.steps.branch import BranchStep
from orchestrator.steps.by_command import ByCommand
from orchestrator.steps.check import CheckStep
from orchestrator.steps.command import Command
from orchestrator.steps.commanded import Commanded
from orchestrator.steps.compatibility import Compatibility
from orchestrator.steps.discard import DiscardStep
from orchestrator.steps.discarded import Discarded
from orchestrator.steps.freshness import Freshness
from orchestrator.steps.goal import Goal
from orchestrator.steps.launch import Candidates, LaunchStep
from orchestrator.steps.migrate import MigrateStep
from orchestrator.steps.on_main import OnMain
from orchestrator.steps.own import OwnSteps
from orchestrator.steps.project import NeonProject
from orchestrator.steps.promote import PromoteStep
from orchestrator.steps.queries import PastQueries
from orchestrator.steps.release import Releases
from orchestrator.steps.restore_point import RestorePoints
from orchestrator.steps.revert import ReversePlans
from orchestrator.steps.safety import Scrub, production_names
from orchestrator.steps.surroundings import Surroundings
from orchestrator.steps.to_restore_point import RestorePointWay
from orchestrator.steps.way_back import WayBack
from orchestrator.steps.ways import Ways
from orchestrator.steps.workload import Workload
from orchestrator.sweeping import Sweeping
from orchestrator.usage import Usage


@dataclass(frozen=True, kw_only=True)
class Assembly:
    """Everything that a command may need, put together."""

    settings: Settings
    store: Store
    project: NeonProject
    candidates: Candidates
    releases: Releases
    goal: Goal
    controller: Controller
    reverts: Reverts
    ledger: Ledger
    sleeping: Sleeping
    lifetime: Lifetime
    sweeping: Sweeping
    healing: Healing

    @property
    def services(self) -> tuple[str, ...]:
        """The names of the services that stand beside every app."""
        return tuple(self.settings.services)

    @property
    def mailbox(self) -> Mailbox:
        """What previews would have mailed."""
        return Mailbox(home())


@contextmanager
def open_project(settings: Settings) -> Iterator[NeonProject]:
    """The settings' project on Neon."""
    wanted = settings.project
    with open_neon(wanted.neon) as neon:
        project = find_project(neon, project_id=wanted.id, name=wanted.name)
        yield NeonProject(
            neon=neon,
            id=project.id,
            key=f"{wanted.neon}/{project.id}",
            database=wanted.database,
            wanted_role=wanted.role,
        )


@contextmanager
def assemble(
    settings: Settings, observer: Observer, *, wait: Callable[[str], bool] = lambda _holder: False
) -> Iterator[Assembly]:
    """Everything, connected; closed at the end of the block."""
    with open_project(settings) as project, open_store(settings) as store:
        discarded = Discarded(project)
        around = Surroundings(settings, runtime, home())
        names = cache(lambda: production_names(project, settings))
        candidates = Candidates(settings, runtime, names, around)
        ledger = Ledger(World(project=project, open_runtime=runtime, home=home()))
        usage = Usage(store=store, project=project, ledger=ledger, prices=settings.limits)
        releases = Releases(settings, project, candidates, runtime, home())
        goal, scrub = Goal(project, settings), Scrub(project, settings)
        command, own = Command(settings, candidates), OwnSteps(settings)
        attempts = settings.promote.lock_attempts
        much = limits(settings)
        by_command = ByCommand(
            project, command, own, lock_attempts=attempts, compare=settings.compare, limits=much
        )

        promotions = store.promotions(project.key)
        on_main = OnMain(project, promotions, lock_attempts=attempts, care=care(settings))

        points = RestorePoints(
            project,
            keep_days=settings.promote.keep_days,
            wanted=settings.promote.restore_point == "branch",
        )
        ways = Ways(
            ReversePlans(
                project,
                promotions,
                on_main,
                points=points,
                releases=releases,
                compare=settings.compare,
                policy=online(settings),
                keeping=keeping(settings),
            ),
            RestorePointWay(project, promotions, on_main, releases=releases),
        )

        def endpoint(preview: Preview) -> Mapping[str, Any] | None:
            return _endpoint_settings(settings, preview)

        launch = LaunchStep(project, candidates)
        engine = Engine(
            store,
            {
                State.BRANCHING: BranchStep(project, endpoint, scrub),
                State.MIGRATING: MigrateStep(
                    project,
                    goal,
                    own=own,
                    command=command,
                    commanded=Commanded(project, command, endpoint),
                    by_command=by_command,
                    queries=PastQueries(project, settings, store.kept(project.key)),
                    policy=online(settings),
                    keeping=keeping(settings),
                    trust_proofs=settings.migration.renames == "ask_unless_proved",
                    limits=much,
                ),
                State.LAUNCHING: launch,
                State.CHECKING: CheckStep(
                    project,
                    policy(settings),
                    workload=Workload(project, settings, endpoint),
                    slower=settings.report.slower,
                    compatibility=Compatibility(
                        project,
                        settings,
                        candidates,
                        endpoint,
                        lambda: _last_image(store, project.key),
                        scrub=scrub,
                        live=lambda: releases.live,
                    ),
                    way_back=WayBack(project=project, prove=settings.migration.prove_reverse),
                    limits=much,
                ),
                State.PROMOTING: PromoteStep(
                    project,
                    command=command,
                    own=own,
                    by_command=by_command,
                    promotions=promotions,
                    on_main=on_main,
                    points=points,
                    compare=settings.compare,
                    releases=releases,
                ),
                State.DISCARDING: DiscardStep(ledger, discarded),
            },
            observer,
        )
        controller = Controller(
            store=store,
            project=project.key,
            engine=engine,
            hooks=Hooks(
                prepare=candidates.prepare,
                withdraw=candidates.withdraw,
                freshness=Freshness(project, goal, candidates, observer.detail, command=command, own=own),
                runtime_kind=lambda: runtime_kind(settings),
                admit=Admission(
                    limits=settings.limits,
                    project=project.key,
                    usage=usage,
                    home=home(),
                    who=lambda: store.who,
                ).admit,
                measured=lambda preview: usage.measure((preview,)),
                lives_until=lambda: _lives_until(settings),
                keep_discarded=_span(settings.lifetime.keep_discarded) or timedelta(0),
                under_way=on_main.holder,
                one_port=settings.runtime.host_port is not None,
            ),
            guards=Guards(
                blocking=frozenset(settings.promote.block),
                allowed=frozenset(settings.promote.allow),
                required=settings.promote.approval == "required",
            ),
            wait=wait,
        )
        lifetime = Lifetime(
            store=store,
            project=project,
            controller=controller,
            engine=engine,
            discarded=discarded,
            lives_until=lambda: _lives_until(settings),
        )
        sleeping = Sleeping(store, store.visits(), project, candidates, detail=observer.detail, wait=wait)
        idle = _span(settings.lifetime.idle)
        yield Assembly(
            settings=settings,
            store=store,
            project=project,
            candidates=candidates,
            releases=releases,
            goal=goal,
            controller=controller,
            reverts=Reverts(
                store=store,
                project=project.key,
                database=project.database,
                ways=ways,
                under_way=on_main.holder,
                elsewhere=on_main.elsewhere,
                detail=observer.detail,
            ),
            ledger=ledger,
            sleeping=sleeping,
            lifetime=lifetime,
            sweeping=Sweeping(
                store=store,
                project=project.key,
                ledger=ledger,
                lifetime=lifetime,
                controller=controller,
                detail=observer.detail,
            ),
            healing=Healing(
                store=store,
                project=project,
                candidates=candidates,
                launch=launch,
                controller=controller,
                lifetime=lifetime,
                health=settings.app.health,
                measure=usage.measure,
                put_idle_to_sleep=lambda: sleeping.put_idle_to_sleep(idle) if idle else (),
                detail=observer.detail,
            ),
        )


def online(settings: Settings) -> Online:
    """Which tables are written again beside the traffic."""
    return Online(mode=settings.migration.online, large_bytes=settings.migration.online_bytes)


def care(settings: Settings) -> Care:
    """What a promotion may ask of everybody else on main."""
    wanted = settings.promote
    return Care(
        budget_ms=wanted.budget_ms,
        terminate=frozenset(wanted.terminate),
        terminate_after_ms=wanted.terminate_after_ms,
    )


def keeping(settings: Settings) -> Keeping:
    """Whether what a plan drops is kept aside, and how long."""
    return Keeping(days=settings.promote.keep_days if settings.promote.drops == "soft" else 0)


def _span(text: str | None) -> timedelta | None:
    """A duration of the settings; None for none."""
    return (parse_duration(text) if text else None) or None


def _lives_until(settings: Settings) -> datetime | None:
    """When a preview that is brought up now expires; None: never."""
    span = _span(settings.lifetime.ttl)
    return datetime.now(UTC) + span if span else None


def _last_image(store: Store, project: str) -> str | None:
    """The image of the project's last promotion that the diary knows."""
    promoted = [
        each
        for each in store.live(closed=True)
        if each.project == project and each.facts.get("promotion") and each.facts.get("image")
    ]
    last = max(promoted, key=lambda each: each.updated_at, default=None)
    return str(last.facts["image"]["reference"]) if last else None


def limits(settings: Settings) -> Limits:
    """How much of the data is read to compare its values."""
    report = settings.report
    return Limits(
        exact_bytes=parse_size(report.exact_up_to), untouched_bytes=parse_size(report.untouched_up_to)
    )


def policy(settings: Settings) -> Policy:
    """How findings are judged."""
    rules = settings.report
    return Policy(
        ignore=tuple((rule.finding, rule.reason) for rule in rules.ignore),
        block=tuple(rules.block),
        warn=tuple(rules.warn),
    )


def runtime_kind(settings: Settings) -> str:
    """Which runtime a new preview is begun on.

    Raises:
        StepFailed: the wanted one is not usable on this machine.
    """
    with translating("choosing the runtime"):
        chosen = runtime(settings.runtime.kind)
        reason = chosen.available()
    if reason:
        raise StepFailed(
            f"the {chosen.kind} runtime cannot be used: {reason}", hint="`preview doctor` says more"
        )
    return chosen.kind


def _endpoint_settings(settings: Settings, preview: Preview) -> Mapping[str, Any] | None:
    """Where the embedded server's compute of a preview's branch listens: also where the candidate can reach it.

    Only a preview's branch is asked to; production's compute stays on loopback. Neon itself is reached over the
    network and needs nothing.
    """
    if settings.project.neon != EMBEDDED:
        return None
    with translating("finding how the app reaches this machine"):
        bind = runtime(preview.facts["runtime"]).host_address().bind
    addresses = dict.fromkeys(("127.0.0.1", bind))
    return {"pg_settings": {"listen_addresses": ",".join(addresses)}}
