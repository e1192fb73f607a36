"""A migration that writes rows which no statement of it names: rehearsed once more, and the column is told."""

from collections.abc import Callable

import pytest

from tests.acceptance.shop import Shop
from tests.acceptance.small import TABLE

STAMP = """
create function stamp() returns int language plpgsql volatile as
'begin update notes set text = ''stamped'' where id = 17; return 1; end';
"""


@pytest.mark.prove
def test_rows_that_a_default_writes_are_found_with_their_column(make_small_shop: Callable[..., Shop]) -> None:
    shop = make_small_shop()
    visits = "create table visits (id int primary key{});"
    shop.on(shop.uri(), f"{STAMP}{visits.format('')} insert into visits values (1)")
    more = ", n int not null default stamp()"
    (shop.folder / "goal" / "1.sql").write_text(f"{TABLE};{STAMP}{visits.format(more)}")

    ready = shop.json("up", "pr-1")

    found = {each["subject"]: each for each in ready["report"]["findings"] if each["check"] == "values"}
    assert found["public.notes.text"]["severity"] == "blocked", found
    assert "though no statement of the plan says so" in found["public.notes.text"]["message"]
    assert "1 column holds" in found["public.notes"]["message"]
    assert "once more, on a fresh branch" in shop.preview("history", "pr-1").stdout
    shop.preview("discard", "pr-1", "--force")
    assert shop.leftovers(ready) == []
