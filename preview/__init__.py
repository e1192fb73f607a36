"""Runs a candidate of an app: image, container or process, health, URL. Knows nothing of Neon, plans or databases."""

from preview.belongings import Belonging
from preview.choose import open_runtime
from preview.errors import (
    BuildFailed,
    EngineUnreachable,
    ImageNotFound,
    LaunchFailed,
    PortInUse,
    PreviewError,
    TaskFailed,
    Unhealthy,
    UnknownCandidate,
)
from preview.runtime import Runtime
from preview.spec import (
    BuildSpec,
    Candidate,
    CandidateSpec,
    HealthCheck,
    HostAddress,
    Image,
    Resources,
    TaskSpec,
)

__all__ = [
    "Belonging",
    "BuildFailed",
    "BuildSpec",
    "Candidate",
    "CandidateSpec",
    "EngineUnreachable",
    "HealthCheck",
    "HostAddress",
    "Image",
    "ImageNotFound",
    "LaunchFailed",
    "PortInUse",
    "PreviewError",
    "Resources",
    "Runtime",
    "TaskFailed",
    "TaskSpec",
    "Unhealthy",
    "UnknownCandidate",
    "open_runtime",
]
