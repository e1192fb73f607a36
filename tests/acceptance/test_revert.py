"""A promotion looked at afterwards and taken back, as a person does it."""

from tests.acceptance.shop import ALLOW_FAX, RENAME, Shop


def test_history_and_revert_from_the_shell(shop: Shop) -> None:
    before = shop.main("select id, name, fax from customers order by id")
    shop.preview("up", "pr-1", "--answer", f"{RENAME}=name")
    promoted = shop.preview("promote", "pr-1", "--allow", ALLOW_FAX)
    listed = shop.json("history", "promotions")
    mine = [each for each in listed if each["project"].endswith(shop.project_id)]
    assert [(each["kind"], each["state"]) for each in mine] == [("promotion", "done")]
    number = mine[0]["id"]
    assert number in promoted.stdout

    # Quotable: on the terminal, as JSON, as one file.
    shown = shop.preview("history", "show", number).stdout
    assert f"promotion {number} of pr-1: done" in shown
    assert "restore/pr-1-" in shown
    assert len(shop.json("history", "show", number)["statements"]) == len(mine[0]["statements"])
    page = shop.folder / "post-mortem.html"
    shop.preview("history", "show", number, "--html", "--output", str(page))
    assert "Restore point" in page.read_text()
    assert any(each.get("promotion") == number for each in shop.json("history", "pr-1"))
    assert "nope" in shop.preview("history", "show", "nope", expect=2).stderr
    shop.preview("history", "pr-1", number, expect=2)
    shop.preview("history", "--html", expect=2)

    # Shown first; without a terminal nothing is done, and the flags that answer are printed.
    shop.main("update customers set full_name = 'later' where id = 1")
    dry = shop.json("revert", "--dry-run")
    assert dry["promotion"] == number
    assert dry["way"] == "reverse_plan"
    asked = shop.preview("revert", expect=3)
    assert f"preview revert {number} --yes" in asked.stderr
    assert "fax" not in shop.columns(shop.uri(), "customers")
    shop.preview("revert", "--at-most", "3", expect=2)

    done = shop.json("revert", "--yes")

    assert done["state"] == "done"
    assert done["reverts"] == number
    first = before[0]
    assert shop.main("select id, name, fax from customers order by id") == [
        (first[0], "later", first[2]),
        *before[1:],
    ]
    assert "there is no promotion to revert" in shop.preview("revert", expect=4).stderr
    assert shop.json("history", "show", number)["reverted_by"] == done["id"]
