"""Resume: whether what is left to do is a part of what was approved. Pure: no I/O of any kind."""

import re

from orchestrator.migration.plan import Plan

_NAME = r'(?:"(?:[^"]|"")*"|[^\W\d]\w*)'
_VALIDATE = re.compile(rf"^ALTER TABLE ({_NAME}\.{_NAME}) VALIDATE CONSTRAINT ({_NAME})$")
_ASIDE = re.compile(rf'^ALTER (TYPE|DOMAIN) ({_NAME}\.{_NAME}) RENAME TO "?preview_tmp_')
_KEPT = re.compile(r"\bpreview_kept_[0-9a-f]{12}\b")
_BUILD = re.compile(r"^(CREATE (?:UNIQUE )?INDEX )CONCURRENTLY ")


def _plain(sql: str) -> str:
    """The same for whatever a dropped thing is called while it is kept aside: that depends on what was kept before."""
    return _KEPT.sub("preview_kept_", sql)


def part_of(remaining: Plan, approved: Plan) -> tuple[str, ...]:
    """The SQL of statements in ``remaining`` that were never approved; empty: nothing has moved.

    This is how a promotion resumes and how it sees that main moved: what is left to do after an
    interruption is always a part of what was approved. Statements that clean up after an interrupted run
    of our own (``repair``) need no approval. A table that was new in the approved plan may be there already;
    what is still to be added to it is then done in the gentler form (CONCURRENTLY, NOT VALID and VALIDATE),
    which is approved with the other. A type that was to step aside for its new form may have lost its last user
    meanwhile: then it is dropped and made again, which comes to the same.
    """
    known = {_plain(statement.sql) for statement in approved.statements}
    added = {sql.split(" FOREIGN KEY ")[0].split(" CHECK ")[0] for sql in known if " ADD CONSTRAINT " in sql}

    left = {statement.sql for statement in remaining.statements}
    replaced = {
        f"DROP {match[1]} {match[2]}"
        for sql in known
        if (match := _ASIDE.match(sql))
        and any(each.startswith(f"CREATE {match[1]} {match[2]} AS") for each in left)
    }

    def approves(text: str) -> bool:
        sql = _plain(text)
        if (
            sql in replaced
            or sql in known
            or _BUILD.sub(r"\1", sql) in known
            or sql.removesuffix(" NOT VALID") in known
        ):
            return True
        validates = _VALIDATE.match(sql)
        return validates is not None and f"ALTER TABLE {validates[1]} ADD CONSTRAINT {validates[2]}" in added

    return tuple(each.sql for each in remaining.statements if not each.repair and not approves(each.sql))
