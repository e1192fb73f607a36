"""The orchestrator's errors: one small tree, each with a message and a hint. Imports nothing of ours.

OrchestratorError                 exit 1
├─ UsageError                     exit 2   bad input: names, settings, unknown previews
│  ├─ SettingsError                        which file, which key, what was expected
│  ├─ UnknownPreview
│  ├─ UnknownPromotion
│  ├─ UnknownJob
│  ├─ NameTaken
│  ├─ TooLarge
│  └─ TooSlow
├─ WaitingForAnswers              exit 3   questions that facts cannot decide
├─ Refused                        exit 4   hazard, check, drift, approval or role says no
│  ├─ HazardNotAllowed
│  ├─ MainMoved
│  ├─ PreviewMoved                         the branch or the settings are not what was rehearsed
│  ├─ PromotionUnderWay                    who changes production now, since when, at which statement
│  ├─ NotRecognised                        no token, or none that is good
│  ├─ NotAllowed                           the caller's role is not enough
│  └─ WrongVersion                         client and server are too far apart
├─ TooOften                       (retryable)  the server is asked too often
├─ ServerUnreachable              (retryable)
├─ DatabaseUnreachable            (retryable)
├─ PlanError
│  ├─ UnsupportedObject                    a kind that is not covered differs: refused by name
│  ├─ DependencyCycle
│  └─ PlanDoesNotConverge                  what remains after applying
├─ ApplyError
│  ├─ LockNotAcquired                      who holds it, how long we waited
│  └─ StatementFailed                      SQLSTATE, which statement
├─ Busy                                    somebody else holds the preview's lease
└─ StepFailed                              a step of a preview could not be done
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class OrchestratorError(Exception):
    """Something could not be done.

    Attributes:
        message: what happened, to which object, with the number; lower case, no secret in it.
        hint: what to do next; may be empty.
        detail: several lines that help to understand it (a log's tail, a statement); may be empty.
        exit_code: the process's exit status when this error ends a command (DESIGN, section 6).
        retryable: whether doing the same again later may work.
        nothing_done: whether a step that raised it left its world exactly as it was; a promotion that ends so
            leaves the preview ready, not failed.
        facts: what the preview's row is to remember of a step that raised it, by name; JSON.
    """

    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False
    nothing_done: bool = False

    def __init__(self, message: str, *, hint: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail
        self.facts: Mapping[str, Any] = {}


class UsageError(OrchestratorError):
    """The request itself is wrong; nothing was done."""

    exit_code = 2


class SettingsError(UsageError):
    """preview.toml or the environment says something that cannot be used."""


class UnknownPreview(UsageError):
    """No live preview has this name."""


class UnknownPromotion(UsageError):
    """The project has no promotion with this id."""


class UnknownJob(UsageError):
    """The server knows no job with this id."""


class NameTaken(UsageError):
    """A live preview of another project has this name."""


class TooLarge(UsageError):
    """More was sent than is taken."""


class TooSlow(UsageError):
    """What was sent did not come in time."""


class WaitingForAnswers(OrchestratorError):
    """The plan needs answers that facts cannot give; the preview rests."""

    exit_code = 3


class Refused(OrchestratorError):
    """A guard said no; nothing was changed."""

    exit_code = 4
    nothing_done = True


class HazardNotAllowed(Refused):
    """The plan contains a hazard that nobody allowed by name."""


class MainMoved(Refused):
    """Main is no longer what the plan was made from."""


class PreviewMoved(Refused):
    """The preview itself is no longer what was rehearsed: somebody changed its branch, or the settings."""


class PromotionUnderWay(Refused):
    """Somebody else changes main at this moment."""


class NotRecognised(Refused):
    """The server does not know who asks."""


class NotAllowed(Refused):
    """The server knows who asks, and says no to that."""


class WrongVersion(Refused):
    """Client and server do not speak the same version of the API."""


class TooOften(OrchestratorError):
    """The server is asked more often than it allows."""

    retryable = True


class ServerUnreachable(OrchestratorError):
    """The team's server does not answer."""

    retryable = True


class DatabaseUnreachable(OrchestratorError):
    """A database did not accept our connection."""

    retryable = True


class PlanError(OrchestratorError):
    """No plan can be made, or the plan does not do what it says."""


class UnsupportedObject(PlanError):
    """An object of a kind that is not covered differs; it is named, never skipped."""

    exit_code = 4


class DependencyCycle(PlanError):
    """Statements depend on each other in a circle; the message spells it.

    Attributes:
        tables: schema and name of each table that stands in a circle.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        detail: str = "",
        tables: frozenset[tuple[str, ...]] = frozenset(),
    ) -> None:
        super().__init__(message, hint=hint, detail=detail)
        self.tables = tables


class PlanDoesNotConverge(PlanError):
    """After applying the plan, something still differs; the message says what."""


class ApplyError(OrchestratorError):
    """A plan could not be applied."""


class LockNotAcquired(ApplyError):
    """A lock was not granted in time; the message says who holds it."""

    retryable = True


class StatementFailed(ApplyError):
    """PostgreSQL refused a statement of the plan."""


class Busy(OrchestratorError):
    """Another process holds this preview's lease."""

    retryable = True


class StepFailed(OrchestratorError):
    """A step of a preview could not be done."""
