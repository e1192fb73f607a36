"""Whether a caller may do an act on a preview, beyond the role: whose it is, and who made it. Changes nothing."""

from dataclasses import dataclass

from orchestrator.access import Caller, Role
from orchestrator.errors import NotAllowed
from orchestrator.lifecycle import Preview


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an act asks of its caller.

    Attributes:
        role: the least role.
        own: whether the preview must be the caller's own; a new one is, and an admin's are all.
        another: whether somebody else than the preview's authors has to do it, where the settings ask for that.
    """

    role: Role
    own: bool = False
    another: bool = False


def owner(preview: Preview) -> str:
    """Whose the preview is: who asked for it first, also when somebody else has rebased it."""
    return str(preview.facts.get("owner") or preview.created_by)


def authors(preview: Preview) -> frozenset[str]:
    """Who made the preview or changed what is in it."""
    return frozenset({owner(preview), *preview.facts.get("authors", ())})


def check(asked: Asked, caller: Caller, preview: Preview | None, *, author_may_approve: bool) -> None:
    """Refuse what the caller may not do.

    Args:
        asked: see Asked.
        caller: who asks.
        preview: the live preview of the name; None when there is none.
        author_may_approve: as the settings say.

    Raises:
        NotAllowed: says what is missing.
    """
    if not caller.may(asked.role):
        raise NotAllowed(
            f"the role {caller.role.value} may not do that; it needs {asked.role.value}",
            hint=f"ask somebody with the role {asked.role.value}, or an admin for another token",
        )
    if preview is None:
        return
    if asked.own and not caller.owns(owner(preview)):
        raise NotAllowed(
            f"{preview.name} belongs to {owner(preview)}",
            hint="choose another name, or ask its owner or an admin",
        )
    if asked.another and not author_may_approve and caller.who in authors(preview):
        given = preview.facts.get("approval") or {}
        if given.get("beforehand") and given.get("who") not in authors(preview):
            return  # somebody else has said yes already; what that is bound to is looked at again when it is used
        raise NotAllowed(
            f"{caller.who} is an author of {preview.name}; somebody else has to approve it",
            hint=f"ask another approver to `preview approve {preview.name}`",
        )
