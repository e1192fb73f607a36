"""Answers through the bare generator: the file, the flags, exit 3 with JSON; renames that identity proves."""

import json
import re
import shlex
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from orchestrator.cli.app import app
from orchestrator.errors import OrchestratorError
from orchestrator.migration.planner import make_plan


def run(*words: str) -> Result:
    """The command's output and exit code, as its main() gives it."""
    done = CliRunner().invoke(app, ["plan", *words])
    if isinstance(done.exception, OrchestratorError):
        done.exit_code = done.exception.exit_code
    return done


def test_the_file_answers_and_is_written(database: Callable[..., Any], tmp_path: Path) -> None:
    main, goal = database(), database()
    main.run("CREATE TABLE t (id int, name text); INSERT INTO t VALUES (1, 'x')")
    goal.run("CREATE TABLE t (id int, full_name text)")
    where = ["--from", main.uri, "--to", goal.uri]
    file = tmp_path / "answers.toml"

    asked = run(*where, "--json")
    assert asked.exit_code == 3
    question = json.loads(re.sub(r"(?s)\n}\n.*", "\n}", asked.stdout))["questions"][0]
    flag = shlex.split(question["flags"][0])
    assert flag == ["--answer", "rename:column:public.t.full_name=name"]

    assert run(*where, "--answers", str(file)).exit_code == 2
    answered = run(*where, *flag, "--answers", str(file), "--write-answers", "--sql")
    assert answered.exit_code == 0
    assert "RENAME COLUMN name TO full_name" in answered.stdout
    assert tomllib.loads(file.read_text()) == {"answers": {"rename:column:public.t.full_name": "name"}}
    again = run(*where, "--answers", str(file), "--sql")
    assert again.stdout.endswith(answered.stdout[answered.stdout.index("BEGIN") :])
    file.write_text('[answers]\n"rename:column:public.t.full_name" = "other"\n')
    assert run(*where, "--answers", str(file)).exit_code == 2
    assert run(*where, "--write-answers").exit_code == 2
    assert run(*where, "--online", "sometimes").exit_code == 2


def test_identity_proves_a_rename_only_where_it_is_trusted(database: Callable[..., Any]) -> None:
    main, goal = database(), database()
    main.run("CREATE TABLE t (id int, name text); INSERT INTO t VALUES (1, 'x')")
    goal.run("CREATE TABLE t (id int, name text); ALTER TABLE t RENAME name TO full_name")
    base, wanted = main.inspect(), goal.inspect()
    assert make_plan(base, wanted, trust_proofs=True).plan is None
    # as in two branches of one database
    wanted = replace(wanted, origin=base.origin, lineage={**wanted.lineage, **shared(base.lineage)})
    assert make_plan(base, wanted).plan is None
    planned = make_plan(base, wanted, trust_proofs=True)
    assert planned.plan is not None
    assert planned.proved == {"rename:column:public.t.full_name": "name"}
    assert [each.sql for each in planned.plan.statements] == [
        "ALTER TABLE public.t RENAME COLUMN name TO full_name"
    ]
    told = make_plan(base, wanted, trust_proofs=True, answers={"rename:column:public.t.full_name": "-"})
    assert told.plan is not None
    assert "DROP COLUMN name" in told.plan.to_sql()


def shared(lineage: Any) -> dict[Any, str]:
    """The lineage with the column's new name."""

    def now(path: tuple[str, ...]) -> tuple[str, ...]:
        return tuple("full_name" if each == "name" else each for each in path)

    return {key._replace(path=now(key.path)): line for key, line in lineage.items()}
