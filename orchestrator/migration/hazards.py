"""The catalogue of hazards: what can hurt, whom, and what to do about it. Pure: no I/O of any kind."""

from dataclasses import dataclass

from orchestrator.migration.plan import Hazard


@dataclass(frozen=True, slots=True, kw_only=True)
class HazardKind:
    """One entry of the catalogue.

    Attributes:
        code: its name in plans, reports and ``--allow``.
        title: a few words for a person.
        blocks: whether promotion is refused until it is allowed by name.
        effect: what happens, one sentence.
        advice: what to do about it, one sentence.
    """

    code: str
    title: str
    blocks: bool
    effect: str
    advice: str


_KINDS = (
    HazardKind(
        code="deletes_data",
        title="deletes data",
        blocks=True,
        effect="Rows or values are gone: for good, or, where they are set aside first, after `promote.keep_days`; "
        "until then a revert brings them back.",
        advice="Answer with a rename if it is one; else allow it by name, or keep the object for one more release.",
    ),
    HazardKind(
        code="irreversible",
        title="cannot be undone",
        blocks=False,
        effect="PostgreSQL has no statement that takes this back.",
        advice="Only a restore point brings the state before it back.",
    ),
    HazardKind(
        code="blocks_reads",
        title="blocks reads and writes",
        blocks=False,
        effect="ACCESS EXCLUSIVE: every query on the table waits while the statement works on its rows.",
        advice="Run it when traffic is low; the rehearsal's trace says how long it took on the branch.",
    ),
    HazardKind(
        code="blocks_writes",
        title="blocks writes",
        blocks=False,
        effect="INSERT, UPDATE and DELETE on the table wait while the statement works on its rows.",
        advice="Run it when traffic is low; the rehearsal's trace says how long it took on the branch.",
    ),
    HazardKind(
        code="rewrites_table",
        title="rewrites the table",
        blocks=False,
        effect="Every row and every index of the table is written again; twice the space is needed for a while.",
        advice="On a large table add a new column, fill it in batches and switch over.",
    ),
    HazardKind(
        code="scans_table",
        title="reads the whole table",
        blocks=False,
        effect="Every row is checked; reads and writes go on.",
        advice="Expect load on the disk; the rehearsal's trace says how long it took on the branch.",
    ),
    HazardKind(
        code="builds_index",
        title="builds an index",
        blocks=False,
        effect="The whole table is read and sorted; with CONCURRENTLY reads and writes go on.",
        advice="It waits for every transaction that is older; end long ones first.",
    ),
    HazardKind(
        code="drops_index",
        title="drops an index",
        blocks=False,
        effect="Queries that this index made fast read the whole table from here on.",
        advice="Look at idx_scan in pg_stat_user_indexes on production: while it grows, keep the index for one more "
        "release.",
    ),
    HazardKind(
        code="breaks_running_code",
        title="breaks code that runs now",
        blocks=False,
        effect="The version of the app that runs during the migration uses what changes here.",
        advice="Release code that works with both forms first, or accept errors until the new version runs.",
    ),
    HazardKind(
        code="opens_to_everybody",
        title="opens to everybody",
        blocks=False,
        effect="Every role of the server, also one that is made later, may use the object (GRANT ... TO PUBLIC).",
        advice="Grant it to the roles that need it instead.",
    ),
    HazardKind(
        code="may_fail_on_data",
        title="may fail on the data",
        blocks=False,
        effect="Rows that do not fit make the statement fail; nothing is changed then.",
        advice="The rehearsal counts such rows on the branch; correct them first.",
    ),
    HazardKind(
        code="needs_value",
        title="needs a value",
        blocks=False,
        effect="Existing rows have no value for a column that must have one.",
        advice="Answer the fill question with an SQL expression, or give the column a default.",
    ),
)

#: Changes that need care, how much, and by which hazards a plan names them.
RISKS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("a table is dropped", "high", ("deletes_data", "breaks_running_code")),
    ("a column is dropped", "high", ("deletes_data", "breaks_running_code")),
    (
        "a column's type is narrowed or changed",
        "high",
        ("may_fail_on_data", "rewrites_table", "blocks_reads", "breaks_running_code"),
    ),
    ("an index is dropped", "high", ("drops_index",)),
    ("a view or function is dropped", "high", ("breaks_running_code",)),
    ("a table, column or label is renamed", "high", ("breaks_running_code",)),
    ("a required column without a default is added", "high", ("needs_value",)),
    ("a column becomes NOT NULL", "medium", ("may_fail_on_data", "scans_table")),
    ("a unique constraint is added", "medium", ("may_fail_on_data", "builds_index")),
    ("a foreign key is added", "medium", ("may_fail_on_data", "scans_table")),
    ("a check is added", "medium", ("may_fail_on_data", "scans_table")),
)

CATALOGUE: dict[str, HazardKind] = {kind.code: kind for kind in _KINDS}


def hazard(code: str, on: str, detail: str) -> Hazard:
    """A hazard of the catalogue on one object.

    Raises:
        KeyError: the code is not in the catalogue (a programming error).
    """
    return Hazard(code=CATALOGUE[code].code, on=on, detail=detail)


def blocks_promotion(found: Hazard) -> bool:
    """Whether promotion is refused until somebody allows this hazard by name."""
    return CATALOGUE[found.code].blocks
