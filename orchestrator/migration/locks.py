"""PostgreSQL's table lock modes and what each blocks, in plain words. Pure: no I/O of any kind."""

from enum import StrEnum


class LockMode(StrEnum):
    """A table-level lock mode (Postgres docs, 13.3.1), weakest first; the value is pg_locks.mode."""

    NONE = "none"
    ACCESS_SHARE = "AccessShareLock"
    ROW_SHARE = "RowShareLock"
    ROW_EXCLUSIVE = "RowExclusiveLock"
    SHARE_UPDATE_EXCLUSIVE = "ShareUpdateExclusiveLock"
    SHARE = "ShareLock"
    SHARE_ROW_EXCLUSIVE = "ShareRowExclusiveLock"
    EXCLUSIVE = "ExclusiveLock"
    ACCESS_EXCLUSIVE = "AccessExclusiveLock"

    @property
    def strength(self) -> int:
        """0 for none to 8 for ACCESS EXCLUSIVE; a number to sort and compare by."""
        return list(LockMode).index(self)

    @property
    def blocks_writes(self) -> bool:
        """Whether INSERT, UPDATE and DELETE (ROW EXCLUSIVE) must wait."""
        return self.strength >= LockMode.SHARE.strength

    @property
    def blocks_reads(self) -> bool:
        """Whether plain SELECT (ACCESS SHARE) must wait."""
        return self is LockMode.ACCESS_EXCLUSIVE

    @property
    def blocks(self) -> str:
        """What waits, for a person: ``reads and writes``, ``writes``, ``schema changes`` or ``nothing``."""
        if self.blocks_reads:
            return "reads and writes"
        if self.blocks_writes:
            return "writes"
        if self is LockMode.SHARE_UPDATE_EXCLUSIVE:
            return "schema changes and vacuum"
        return "nothing"
