"""Kinds of things on this machine, which a runtime made: containers, processes, images, networks, volumes, folders."""

import shutil
from collections.abc import Iterable
from typing import ClassVar

from orchestrator.lifecycle import Preview
from orchestrator.resources.thing import Kind, Thing, owner_in
from orchestrator.steps.border import translating
from preview.belongings import Belonging, What, folders

#: On what a release made; it is production's, however much it came from a preview.
RELEASED = "dev.preview.release"
SIDECAR = "-side"


class OfRuntime(Kind):
    """What a runtime calls by one word."""

    what: ClassVar[What]

    def find(self, preview: Preview | None) -> Iterable[Thing]:
        """See Kind.find; a preview has things on its own runtime only."""
        if preview is not None and preview.facts.get("runtime", self.runtime) != self.runtime:
            return
        for each in self._world.belongings(self.runtime):
            if each.what == self.what and self._is_ours(each):
                thing = self._thing(each)
                if preview is None or thing.owner == preview.id:
                    yield thing

    def _is_ours(self, belonging: Belonging) -> bool:
        return RELEASED not in belonging.labels

    def _thing(self, belonging: Belonging) -> Thing:
        return Thing(
            kind=self.name,
            name=belonging.name,
            key=belonging.name,
            owner=belonging.labels.get("dev.preview.id") or owner_in(belonging.name),
            store=belonging.labels.get("dev.preview.store", ""),
            created_at=belonging.created_at,
            size_bytes=belonging.size_bytes,
            note=belonging.state,
        )

    def remove(self, thing: Thing) -> None:
        """See Kind.remove."""
        with translating(f"removing {thing.name}"):
            belonging = Belonging(what=self.what, name=thing.key)
            self._world.open_runtime(self.runtime).remove_belonging(belonging)
        self._world.look_anew()


class Process(OfRuntime):
    """See says."""

    name = "process"
    says = "the app, or a version of it that is tried, without Docker; with its folder"
    made_in = (
        "orchestrator.steps.launch:Candidates.start",
        "orchestrator.steps.launch:Candidates.start_trial",
        "orchestrator.steps.surroundings:Surroundings.start_services",
    )
    runtime = "process"
    what = "process"
    sized = True

    def _is_ours(self, belonging: Belonging) -> bool:
        return not belonging.name.endswith(SIDECAR) and super()._is_ours(belonging)


class Sidecar(OfRuntime):
    """See says; a local process whatever the preview runs on."""

    name = "sidecar"
    says = "the mail sink of a preview, and the ways out of its closed network"
    made_in = ("orchestrator.steps.surroundings:Surroundings._rule",)
    runtime = "process"
    what = "process"
    sized = True

    def find(self, preview: Preview | None) -> Iterable[Thing]:
        """See Kind.find."""
        for each in self._world.belongings(self.runtime):
            if each.what == self.what and each.name.endswith(SIDECAR) and self._is_ours(each):
                thing = self._thing(each)
                if preview is None or thing.owner == preview.id:
                    yield thing


class SideFolder(Kind):
    """See says."""

    name = "side folder"
    says = "the rules and the mails of a preview's sidecar, in $PREVIEW_HOME/sides"
    made_in = (
        "orchestrator.steps.surroundings:Surroundings._port",
        "orchestrator.steps.surroundings:Surroundings._rule",
    )
    sized = True

    def find(self, preview: Preview | None) -> Iterable[Thing]:
        """See Kind.find."""
        for each in folders(self._world.home / "sides"):
            owner = owner_in(each.name)
            if preview is None or owner == preview.id:
                yield Thing(
                    kind=self.name,
                    name=each.name,
                    key=each.name,
                    owner=owner,
                    created_at=each.created_at,
                    size_bytes=each.size_bytes,
                )

    def remove(self, thing: Thing) -> None:
        """See Kind.remove."""
        shutil.rmtree(self._world.home / "sides" / thing.key, ignore_errors=True)


class Folder(OfRuntime):
    """See says."""

    name = "directory"
    says = "what a command without Docker, or one that was killed while it began, left in $PREVIEW_HOME/processes"
    made_in = ("orchestrator.steps.command:Command._run",)
    runtime = "process"
    what = "folder"
    sized = True


class Container(OfRuntime):
    """See says."""

    name = "container"
    says = "the app, a version of it that is tried, or a migration command"
    made_in = (
        "orchestrator.steps.command:Command._run",
        "orchestrator.steps.launch:Candidates.start",
        "orchestrator.steps.launch:Candidates.start_trial",
        "orchestrator.steps.surroundings:Surroundings.start_services",
    )
    runtime = "docker"
    what = "container"


class Image(OfRuntime):
    """See says."""

    name = "image"
    says = "built for a preview; its nameless forerunners too"
    made_in = ("orchestrator.steps.launch:Candidates.build",)
    runtime = "docker"
    what = "image"
    sized = True
    may_stay = True  # a container that somebody else started may run it

    def _is_ours(self, belonging: Belonging) -> bool:
        """Only what a preview's build tagged: a release gives the same image a tag of its own."""
        return belonging.name.startswith((CANDIDATE_IMAGE, "sha256:")) and super()._is_ours(belonging)


class Network(OfRuntime):
    """See says."""

    name = "network"
    says = "what containers of previews are on; the shared one goes with its last container"
    made_in = (
        "orchestrator.steps.surroundings:Surroundings.ensure",
        "orchestrator.steps.surroundings:Surroundings.let_in",
    )
    runtime = "docker"
    what = "network"
    may_stay = True


class Volume(OfRuntime):
    """See says."""

    name = "volume"
    says = "what a container of a preview keeps"
    runtime = "docker"
    what = "volume"
    may_stay = True


CANDIDATE_IMAGE = "preview-candidate:"
#: Who uses something goes before it.
ON_THIS_MACHINE = (Process, Folder, Sidecar, SideFolder, Container, Image, Volume, Network)
