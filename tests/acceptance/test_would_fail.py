"""A migration that the data would make fail: told before it runs, with a report to pass on, and nothing lost."""

from tests.acceptance.small import GOAL, MakeSmall


def test_what_would_fail_has_a_report_and_goes_on_when_the_rows_are_mended(
    make_small_shop: MakeSmall,
) -> None:
    shop = make_small_shop()
    shop.main("insert into notes values (21, 'note 7')")
    (shop.folder / "goal" / "1.sql").write_text(f"{GOAL};\nalter table notes add unique (text);\n")

    failed = shop.preview("up", "pr-1", expect=1)
    assert "the migration would fail on the data: public.notes" in failed.stderr
    assert "`preview report pr-1`" in failed.stderr

    report = shop.json("report", "pr-1")
    assert report["verdict"] == "blocked"
    assert report == shop.json("show", "pr-1")["report"]
    offending, not_run = report["findings"]
    assert (offending["check"], offending["severity"]) == ("preflight", "blocked")
    assert "id=7" in str(offending)
    assert "note 7" not in str(report)
    assert not_run["severity"] == "not_looked_at"
    printed = shop.preview("report", "pr-1").stdout
    assert printed.startswith("pr-1  blocked")
    for form in ("--html", "--markdown"):
        text = shop.preview("report", "pr-1", form).stdout
        assert "id=7" in text
        assert "public.notes" in text
    assert "is failed" in shop.preview("promote", "pr-1", expect=4).stderr

    shop.main("update notes set text = 'note 21' where id = 21")
    shop.preview("up", "pr-1")
    assert shop.json("report", "pr-1")["verdict"] == "ok"
