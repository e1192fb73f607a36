"""The running version and the new one on both schemas: through the command line, as local processes."""

import os
import shutil
import subprocess
from collections.abc import Callable

import psycopg
import pytest

from neon_client.models import ConnectionURI
from orchestrator.bootstrap import assemble, limits, policy
from orchestrator.lifecycle import Preview, State
from orchestrator.settings import load
from orchestrator.steps.check import CheckStep
from orchestrator.steps.compatibility import Compatibility
from orchestrator.steps.project import NeonProject
from orchestrator.steps.safety import Scrub
from orchestrator.steps.way_back import WayBack
from orchestrator.steps.workload import Workload
from tests.acceptance.shop import RENAME, SHOP, Shop
from tests.acceptance.test_kill import kill, start

UP = ("up", "pr-1", "--answer", f"{RENAME}=name")
REQUESTS = """
[[request]]
name = "customers"
path = "/customers"
text = "E-mail"
"""


def with_versions(shop: Shop) -> Shop:
    shutil.copytree(SHOP / "v1", shop.folder / "running", ignore=shutil.ignore_patterns("__pycache__"))
    (shop.folder / "checks").mkdir()
    (shop.folder / "checks" / "requests.toml").write_text(REQUESTS)
    shop.settings(lambda text: f'{text}\n[report]\ncurrent_context = "running"\n')
    return shop


def found(ready: dict) -> dict[str, dict]:
    return {each["subject"]: each for each in ready["report"]["findings"] if each["check"] == "compatibility"}


def test_a_version_that_breaks_on_the_new_schema_is_found_and_nothing_is_left(common_shop: Shop) -> None:
    ready = with_versions(common_shop).json(*UP)

    running = found(ready)["running version"]
    assert running["severity"] == "attention", running
    assert running["message"].startswith("a pause is needed")
    assert found(ready)["new version"]["severity"] == "ok"
    assert "migrate first" in found(ready)["order of release"]["message"]
    made = ready["report"]["measures"]["compatibility"]
    assert [row[0] for row in made["rows"]] == ["health", "customers"]
    assert [cell.startswith("FAILS") for cell in made["rows"][1][1:]] == [False, True, True, False]
    names = [each.name for each in common_shop.neon.branches(common_shop.project_id)]
    assert [name for name in names if name.startswith("check/")] == []
    assert "Two versions, two schemas" in common_shop.preview("report", "pr-1", "--markdown").stdout
    common_shop.preview("discard", "pr-1")
    assert common_shop.leftovers(ready) == []


def test_without_a_running_version_the_new_one_is_asked_alone(common_shop: Shop) -> None:
    (common_shop.folder / "checks").mkdir()
    wrong = '[[request]]\nname = "wrong"\npath = "/customers"\ntext = "not there"\n'
    (common_shop.folder / "checks" / "requests.toml").write_text(REQUESTS + wrong)

    ready = common_shop.json(*UP)

    assert found(ready)["running version"]["severity"] == "not_looked_at"
    new = found(ready)["new version"]
    assert new["severity"] == "blocked"
    assert "fails 1 of 3 requests: wrong (HTTP 200 without the text)" in new["message"]
    assert "migrate first" in found(ready)["order of release"]["message"]
    made = ready["report"]["measures"]["compatibility"]
    assert made["columns"] == ["new version, today's schema", "new version, new schema"]
    assert [cell.startswith("FAILS") for cell in made["rows"][1][1:]] == [True, False]
    common_shop.preview("discard", "pr-1")
    assert common_shop.leftovers(ready) == []


def test_the_same_version_on_a_schema_that_only_grew_needs_no_pause(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(orders=50)
    gone = "drop table shipments, order_items, orders, products, customers cascade; drop type order_status"
    shop.on(shop.uri("development"), gone)
    shop.on(shop.uri("development"), (SHOP / "v1" / "schema.sql").read_text())
    shop.on(shop.uri("development"), "alter table orders add column channel text")
    with_versions(shop).settings(lambda text: text.replace('context = "v2"', 'context = "v1"', 1))

    seen = found(shop.json("up", "pr-1"))

    assert {each["severity"] for each in seen.values()} == {"ok"}, seen
    assert "no pause is needed" in seen["running version"]["message"]


@pytest.mark.prove
def test_a_trial_that_was_killed_is_removed_by_the_next_up_and_by_discard(common_shop: Shop) -> None:
    with_versions(common_shop)
    for verb in (UP, ("discard", "pr-1")):
        running = start(common_shop, *UP)
        project = common_shop.project_id
        while not any(each.name.startswith("check/") for each in common_shop.neon.branches(project)):
            assert running.poll() is None, running.communicate()
        kill(running)
        [listed] = [value for value in common_shop.json("list") if value["name"] == "pr-1"]
        common_shop.preview(*verb)
        if verb is UP:
            common_shop.preview("discard", "pr-1")
        assert common_shop.leftovers(listed) == []


class _Silent:
    def started(self, preview: Preview) -> None: ...
    def detail(self, text: str) -> None: ...
    def finished(self, preview: Preview, state: State, note: str, milliseconds: float) -> None: ...
    def failed(self, preview: Preview, state: State, message: str, milliseconds: float) -> None: ...


class _ReadingMain(NeonProject):
    """The project as somebody has it who may only read main."""

    def uri(self, branch_id: str) -> ConnectionURI:
        given = super().uri(branch_id)
        if branch_id != self.main.id:
            return given
        owner, _, rest = given.reveal().partition("@")
        return ConnectionURI(f"{owner.split('://')[0]}://reader:only-reads-main-1@{rest}")


@pytest.fixture
def read_only(make_shop: Callable[..., Shop]) -> Shop:
    """A shop with a role that may read main and nothing else."""
    shop = make_shop(orders=50)
    for sql in (
        # By SQL: Neon's own roles are members of neon_superuser, and may write everywhere.
        "create role reader login password 'only-reads-main-1'",
        "grant usage on schema public to reader",
        "grant select on all tables in schema public to reader",
        "grant select on all sequences in schema public to reader",
    ):
        shop.main(sql)
    return shop


def test_all_checks_work_for_a_role_that_cannot_write_to_main(
    read_only: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = read_only
    shop.preview(*UP)
    with_versions(shop)
    monkeypatch.setenv("PREVIEW_HOME", str(shop.home))
    settings = load(shop.folder / "preview.toml")
    written = (
        "select sum(n_tup_ins + n_tup_upd + n_tup_del), (select count(*) from pg_class), "
        "(select md5(string_agg(o::text, '' order by o.id)) from orders o) from pg_stat_user_tables"
    )
    before = shop.main(written)
    with assemble(settings, _Silent()) as rooms:
        own = rooms.project
        project = _ReadingMain(neon=own.neon, id=own.id, key=own.key, database=own.database)
        with project.connect_main("test") as main, pytest.raises(psycopg.errors.InsufficientPrivilege):
            main.execute("delete from orders")
        step = CheckStep(
            project,
            policy(settings),
            workload=Workload(project, settings, lambda _: None),
            slower=2.0,
            compatibility=Compatibility(
                project, settings, rooms.candidates, lambda _: None, scrub=Scrub(project, settings)
            ),
            way_back=WayBack(project=project),
            limits=limits(settings),
        )
        report = step.run(rooms.controller.mine("pr-1"), lambda _: None).facts["report"]
    looked = {each["check"] for each in report["findings"] if each["severity"] != "not_looked_at"}
    unseen = [each for each in report["findings"] if each["severity"] == "not_looked_at"]
    assert {"rows", "values", "integrity", "drops", "locks", "forecast", "compatibility"} <= looked, unseen
    assert not any("permission denied" in each["message"] for each in report["findings"])
    assert shop.main(written) == before


@pytest.mark.docker
@pytest.mark.prove
def test_the_image_of_production_is_tried_in_a_container(make_shop: Callable[..., Shop]) -> None:
    if not shutil.which("docker") or subprocess.run(["docker", "info"], capture_output=True).returncode:
        reason = "no Docker engine answers"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    shop = make_shop(orders=50, runtime="docker")
    tag = f"preview-test-running:{shop.project_id}"
    build = ["docker", "build", "-q", "-t", tag, "--build-arg", "BASE=preview-base:python3", str(SHOP / "v1")]
    assert subprocess.run(build, capture_output=True).returncode == 0
    try:
        shop.settings(lambda text: f'{text}\n[report]\ncurrent_image = "{tag}"\n')
        ready = shop.json(*UP)
        assert found(ready)["running version"]["severity"] == "attention"
        assert found(ready)["new version"]["severity"] == "ok"
        shop.preview("discard", "pr-1")
        assert shop.leftovers(ready) == []
    finally:
        subprocess.run(["docker", "rmi", "-f", tag], capture_output=True)
