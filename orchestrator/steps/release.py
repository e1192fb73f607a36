"""Putting the previewed image into production's place, by the settings. Touches the runtime and the stable address.

It happens in a promotion, after what only adds and before what takes away: the schema fits both versions then, so that
one that does not get healthy is put back and nobody notices.
"""

import hashlib
import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from orchestrator.database import LOOPBACK
from orchestrator.errors import Refused, SettingsError, StepFailed
from orchestrator.lifecycle import Preview
from orchestrator.settings import Settings
from orchestrator.steps.announced import Announced
from orchestrator.steps.border import translating
from orchestrator.steps.launch import Candidates, passed_on
from orchestrator.steps.project import NeonProject
from preview.changeover import Change, Held
from preview.edge import Edge
from preview.released import Release, Released
from preview.rollout import Rollout
from preview.runtime import Runtime
from preview.source import copy_tree, tree_hash
from preview.spec import CandidateSpec, HealthCheck, Image, Resources

Say = Callable[[str], None]


class Releases:
    """The versions of the app in production: put there, put back, looked at.

    Args:
        settings: all of preview.toml.
        project: whose production.
        candidates: how previews run: production runs on the same runtime.
        open_runtime: a runtime by its kind.
        home: the one directory of all local state.
    """

    def __init__(
        self,
        settings: Settings,
        project: NeonProject,
        candidates: Candidates,
        open_runtime: Callable[[str], Runtime],
        home: Path,
    ) -> None:
        self._settings = settings
        self._project = project
        self._candidates = candidates
        self._open_runtime = open_runtime
        # Another app or database of the same Neon project is another production: it must not be stopped for this one,
        # nor be taken for what ran before it.
        whose = (project.key, settings.project.database, self.address or self._told)
        self.key = hashlib.sha256("\x1f".join(whose).encode()).hexdigest()[:8]
        self.folder = home / "releases" / self.key
        self.released = Released(self.folder)

    @property
    def kind(self) -> str:
        """How a version is put into production, or ``none``."""
        return self._settings.release.kind

    @property
    def wanted(self) -> bool:
        """Whether a promotion releases anything."""
        return self._settings.release.kind != "none"

    @property
    def address(self) -> str | None:
        """Where production is reached, when we run it."""
        return self._settings.release.address if self._settings.release.kind == "container" else None

    @property
    def _told(self) -> str:
        """Who is told, where somebody else runs it: the webhook, or the command of this folder."""
        release = self._settings.release
        return release.url or "" if release.kind == "webhook" else str(self._settings.directory.resolve())

    @property
    def live(self) -> Release | None:
        """The version that production runs, as far as it was released here."""
        return self.released.live if self.wanted else None

    @property
    def holds(self) -> bool:
        """Whether visitors can be asked to wait for a moment: where we serve production's address."""
        return self.address is not None and self.released.live is not None

    def release(self, preview: Preview, detail: Say, change: Change | None = None) -> dict[str, Any] | None:
        """Put a preview's image into production; again after any crash, with the same outcome.

        Args:
            preview: whose.
            detail: gets a line for each act.
            change: what must happen between the two versions, while visitors wait; only where it `holds`.

        Returns:
            What was done, JSON, for the history and for `put_back`; None when the settings want nothing.

        Raises:
            StepFailed: it does not serve; the earlier version serves as before.
        """
        if not self.wanted:
            return None
        with translating(f"releasing {preview.name}"):
            release = self._remembered(preview, detail)
            before = self.released.live
            if before is not None and before.id == release.id:
                before = self.before(release)
            held = self._put("release", release, before, preview, detail, change)
            self._purge(keep=(release, before), detail=detail)
        return self._done(release, before, held)

    def would_put_back(self, outcome: Mapping[str, Any] | None) -> str:
        """What `put_back` would do, one sentence; empty when nothing.

        Raises:
            Refused: it could not be done from here.
        """
        if not outcome:
            return ""
        if (previous := outcome["previous"]) is None:
            return "the app stays as it is: no version before it was released here"
        self._assert_from_here(outcome)
        shown = (previous["image"] or {}).get("reference", previous["id"])
        said = f"the app goes back to {shown}, released for {previous['preview'] or 'the first time'}"
        live = self.live
        if live is not None and live.id not in (previous["id"], outcome["release"]["id"]):
            said += (
                f"; {live.image.reference if live.image else live.id}, which was released later, goes with it"
            )
        return said

    def holds_for(self, outcome: Mapping[str, Any] | None) -> bool:
        """Whether visitors can be asked to wait while `put_back` does that."""
        return bool(outcome and outcome["kind"] == "container" and outcome["previous"]) and self.holds

    def put_back(
        self, outcome: Mapping[str, Any] | None, detail: Say, change: Change | None = None
    ) -> dict[str, Any]:
        """Put into production what ran before a release; harmless when run twice.

        Args:
            outcome: what `release` returned.
            detail: gets a line for each act.
            change: what must happen between the two versions, while visitors wait; only where it `holds_for`.

        Returns:
            What was done, JSON; empty when there is nothing to do.

        Raises:
            StepFailed: the earlier version does not serve any more; the later one goes on serving.
        """
        if not outcome or outcome["kind"] == "none" or outcome["previous"] is None:
            return {}
        self._assert_from_here(outcome)
        release = Release.from_json(outcome["previous"])
        later = Release.from_json(outcome["release"])
        with translating(f"putting {release.id} back into production"):
            held = self._put("revert", release, later, None, detail, change)
        return self._done(release, later, held)

    def _done(self, release: Release, before: Release | None, held: Held | None) -> dict[str, Any]:
        return {
            "kind": self._settings.release.kind,
            "address": self.address,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "release": release.to_json(),
            "previous": before.to_json() if before else None,
            "held_ms": round(held.ms, 1) if held is not None else None,
            "held": held.to_json() if held is not None else None,
        }

    def _assert_from_here(self, outcome: Mapping[str, Any]) -> None:
        kind, previous = outcome["kind"], outcome["previous"]["id"]
        if kind != self._settings.release.kind:
            raise Refused(
                f"it was released by `{kind}`, and release.kind is `{self._settings.release.kind}` now",
                hint=f"set release.kind to `{kind}` for this revert",
            )
        if kind == "container" and self.released.known(previous) is None:
            raise Refused(
                f"{previous}, which ran before, is not kept here any more, or was released elsewhere",
                hint="run this where production's app runs, with the same settings and PREVIEW_HOME",
            )

    def begin(self, image: str | None, context: str | None, detail: Say, *, kind: str) -> Release:
        """Put the version that production runs today behind the address, without a promotion.

        Args:
            image: a ready-made image, for containers.
            context: the folder of the version; containers are built from it.
            detail: gets a line for each act.
            kind: the runtime's.
        """
        runtime = self._open_runtime(kind)
        with translating("releasing a first version"):
            if image is not None:
                found = runtime.image(image)
            else:
                folder = self._settings.path(context or self._settings.app.context)
                found = self._candidates.build(runtime, folder, f"preview-release:{self.key}-first", detail)
            release_id = f"first-{found.id.removeprefix('sha256:')[:8]}"
            release = self._kept(
                release_id, runtime, found, context or self._settings.app.context, preview="", detail=detail
            )
            if image is None:
                runtime.let_go(f"preview-release:{self.key}-first")  # it has the name of its version now
            self._put("release", release, self.released.live, None, detail)
        return release

    def start(self, detail: Say) -> Release | None:
        """Bring up what production runs, after a kill or a reboot; None when nothing was ever released here."""
        live = self.released.live
        if live is not None and self.address is not None:
            with translating("starting production"):
                self._rollout(live.runtime).put(live, self._spec(live), detail)
        return live

    def stop(self) -> None:
        """Take production's app and its address down. Needs `start`, or a release, to come back."""
        live = self.released.live
        if live is not None and self.address is not None:
            with translating("stopping production"):
                self._rollout(live.runtime).stop()

    def status(self) -> dict[str, Any]:
        """What is in production, and what is really there, JSON."""
        live = self.released.live
        value: dict[str, Any] = {
            "kind": self._settings.release.kind,
            "address": self.address,
            "live": live.to_json() if live else None,
            "earlier": [each.to_json() for each in self.released.all() if not live or each.id != live.id],
        }
        if live is not None and self.address is not None:
            with translating("looking at production"):
                rollout = self._rollout(live.runtime)
                there = {each.name: each.state for each in rollout.running()}
            name = rollout.name(live)
            value["seen"] = {
                "app": there.pop(name, "gone"),
                "address": "up" if rollout.edge.alive else "down",
            }
            value["left_over"] = sorted(there)
        return value

    def logs(self, *, tail: int, follow: bool) -> Any:
        """The lines of production's app."""
        live = self.released.live
        if live is None or self.address is None:
            raise Refused(
                "nothing was released here", hint="`preview release start` or `preview promote` does it"
            )
        rollout = self._rollout(live.runtime)
        return self._open_runtime(live.runtime).logs(rollout.name(live), tail=tail, follow=follow)

    # putting

    def _put(
        self,
        action: str,
        release: Release,
        other: Release | None,
        preview: Preview | None,
        detail: Say,
        change: Change | None = None,
    ) -> Held | None:
        """Put it there; how long visitors waited, where they had to."""
        if self.address is not None:
            live = self.released.live
            if live is not None and live.runtime != release.runtime:
                raise Refused(
                    f"production runs on the {live.runtime} runtime, and this version was made for "
                    f"{release.runtime}",
                    hint=f"set runtime.kind to `{live.runtime}`, or take production down first: "
                    "`preview release stop`",
                )
            rollout = self._rollout(release.runtime)
            rollout.put(release, self._spec(release), detail, change)
            return rollout.held
        self._tell(action, release, other, preview, detail)
        return None

    def _tell(
        self, action: str, release: Release, other: Release | None, preview: Preview | None, detail: Say
    ) -> None:
        live = self.released.live
        if live is not None and live.id == release.id:
            return  # it was told, and said that it is done
        announced = Announced(
            self._settings.release,
            self._settings.directory,
            self.folder,
            health_seconds=self._settings.app.health_timeout_seconds,
        )
        act = {
            "action": action,
            "key": f"{(other or release).id if action == 'revert' else release.id}:{action}",
            "project": self._project.id,
            "preview": release.preview,
            "promotion": (preview.facts.get("promotion_id") or preview.slug) if preview else "",
            "image": release.to_json()["image"],
            "previous": other.to_json() if other else None,
        }
        try:
            announced.tell(act, detail)
        except StepFailed as error:
            if action == "release" and other is not None:
                detail("asking for the earlier version again")
                try:
                    announced.tell(
                        {
                            **act,
                            "action": "put_back",
                            "key": f"{release.id}:put_back",
                            "image": other.to_json()["image"],
                            "previous": release.to_json(),
                        },
                        detail,
                    )
                except StepFailed as second:
                    error.detail = f"{error.detail}\nputting it back failed, too: {second.message}".strip()
            raise
        self.released.went_live(release)

    def _rollout(self, kind: str) -> Rollout:
        if self.address is None:
            raise SettingsError("release.kind is not `container`", hint="see `[release]` in docs/settings.md")
        return Rollout(
            key=self.key,
            released=self.released,
            runtime=self._open_runtime(kind),
            edge=Edge(self.folder, self.address),
            drain_seconds=self._settings.release.drain_seconds,
        )

    def _spec(self, release: Release) -> CandidateSpec:
        app, own = self._settings.app, self._settings.release
        uri = self._project.uri(self._project.main.id)
        return CandidateSpec(
            name="",
            image=release.image,
            command=release.command,
            working_directory=Path(release.folder) if release.folder else None,
            environment={
                **app.env,
                **passed_on("app.env_from", app.env_from),
                **own.env,
                **passed_on("release.env_from", own.env_from),
                "PREVIEW_URL": "",  # an app that asks whether it is a preview must hear no
                "DATABASE_URL": uri.reveal(),
            },
            port=app.port,
            labels={"dev.preview.release.id": release.id},
            health=HealthCheck(path=app.health, timeout_seconds=app.health_timeout_seconds),
            resources=Resources(memory_bytes=app.memory_bytes, cpus=app.cpus, pids=app.pids),
            # Main on this machine listens on loopback only, for good: previews must not reach it either.
            host_network=release.runtime == "docker" and uri.host in LOOPBACK,
        )

    # keeping

    def _remembered(self, preview: Preview, detail: Say) -> Release:
        """The version of a preview, kept so that it outlives the preview; found again when we were here before."""
        known = preview.facts.get("image")
        if not known:
            raise StepFailed(f"{preview.name} has no image to release", hint=f"`preview up {preview.name}`")
        # The image is part of the name: what is brought up to date after a failed promotion is another version.
        release_id = f"{preview.slug}-{known['id'].removeprefix('sha256:')[:8]}"
        there = self.released.known(release_id)
        if there is not None:
            return there
        return self._kept(
            release_id,
            self._candidates.runtime(preview),
            Image(reference=known["reference"], id=known["id"]),
            self._settings.app.context,
            preview=preview.name,
            detail=detail,
        )

    def _kept(
        self, release_id: str, runtime: Runtime, image: Image, context: str, *, preview: str, detail: Say
    ) -> Release:
        app = self._settings.app
        local = runtime.kind == "process"
        folder = self._source(release_id, self._settings.path(context), image, detail) if local else None
        reference = f"preview-release:{self.key}-{release_id}"
        release = Release(
            id=release_id,
            runtime=runtime.kind,
            # A ready-made image keeps the name by which others know it.
            image=image if local else runtime.keep_image(image, reference, named=not app.image),
            folder=str(folder) if folder else None,
            command=tuple(app.command if local else app.container_command),
            at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            preview=preview,
        )
        self.released.remember(release)
        return release

    def _source(self, release_id: str, context: Path, image: Image, detail: Say) -> Path:
        """A copy of the source tree: production must not change when somebody edits a file.

        Raises:
            Refused: the tree is not what was previewed.
        """
        place = self.folder / "sources" / release_id
        if not place.exists():
            detail(f"copying {context}")
            new = place.with_name(f"{place.name}.new")
            shutil.rmtree(new, ignore_errors=True)
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            copy_tree(context, new)
            if f"sha256:{tree_hash(new, self._settings.app.dockerfile)}" != image.id:
                shutil.rmtree(new, ignore_errors=True)
                raise Refused(
                    f"{context} was changed after {release_id} was previewed, so it is another version",
                    hint="bring the folder back to what was previewed, or preview what it is now",
                )
            new.rename(place)
        return place

    def before(self, release: Release) -> Release | None:
        """What ran before a release that is live already."""
        others = [each for each in self.released.all() if each.id != release.id]
        # The last whose place was taken: one that never served, or was taken back before, is no way back.
        served = [each for each in others if each.left]
        return max(served, key=lambda each: each.left, default=None)

    def _purge(self, *, keep: tuple[Release | None, ...], detail: Say) -> None:
        """Forget versions whose retention is over, with their images and copies."""
        until = datetime.now(UTC) - timedelta(days=self._settings.promote.keep_days)
        spared = {each.id for each in keep if each}
        for old in self.released.all():
            # What served until yesterday is the way back of yesterday's promotion, however old it is.
            if old.id in spared or datetime.fromisoformat(max(old.at, old.left)) > until:
                continue
            detail(f"forgetting {old.id}, released before {until:%Y-%m-%d}")
            if old.folder:
                shutil.rmtree(old.folder, ignore_errors=True)
            if old.image and old.runtime:
                self._open_runtime(old.runtime).let_go(f"preview-release:{self.key}-{old.id}")
            self.released.forget(old)
