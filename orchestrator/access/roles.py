"""Roles, and somebody who has one: values only. Reads nothing."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a token is good for; each role may do what those before it may.

    ``viewer`` looks; ``developer`` (a person or an agent) makes, changes and discards previews of its own;
    ``approver`` approves, promotes and reverts; ``admin`` does everything, for everybody.
    """

    VIEWER = "viewer"
    DEVELOPER = "developer"
    APPROVER = "approver"
    ADMIN = "admin"

    def covers(self, needed: "Role") -> bool:
        """Whether this role may do what `needed` may."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Somebody who asked, and was recognised.

    Attributes:
        who: the person or agent, as events name it.
        role: see Role.
        token: the id of the token that was shown; not the token.
    """

    who: str
    role: Role
    token: str = ""

    def may(self, needed: Role) -> bool:
        """Whether the role is enough."""
        return self.role.covers(needed)

    def owns(self, created_by: str) -> bool:
        """Whether something that this person made is theirs to change."""
        return self.role is Role.ADMIN or created_by == self.who
