"""A preview has production's rows, scrubbed; its app starts only when the policy's queries find nothing."""

from urllib.parse import urlsplit

from tests.acceptance.shop import RENAME, Shop

SCRUB = """
update customers set email = 'customer-' || id || '@example.invalid', name = 'Customer ' || id;
"""


def test_rows_are_scrubbed_and_verified_before_the_app_starts(shop: Shop) -> None:
    (shop.folder / "scrub.sql").write_text(SCRUB)
    production = shop.main("select min(email), count(*) from customers")
    policy = "select 1 from customers where email not like '%@example.invalid'"
    shop.settings(
        lambda text: (
            f'{text}\n[safety]\nscrub = ["scrub.sql"]\n[[safety.verify]]\nname = "real addresses"\nsql = "{policy}"\n'
        )
    )

    ready = shop.json("up", "pr-1", "--answer", f"{RENAME}=name")

    branch = shop.uri(ready["branch"]["name"])
    assert shop.on(branch, "select full_name, email from customers where id = 1") == [
        ("Customer 1", "customer-1@example.invalid")
    ]
    assert shop.main("select min(email), count(*) from customers") == production
    assert {"check": "safety", "severity": "ok", "subject": "environment"}.items() <= next(
        finding for finding in ready["report"]["findings"] if finding["check"] == "safety"
    ).items()

    # A policy that does not do its work: no app, and the query is named.
    (shop.folder / "scrub.sql").write_text("update customers set name = name where id = 1;")
    failed = shop.preview("up", "pr-2", "--answer", f"{RENAME}=name", expect=1)
    assert "after the scrub there is still something of 'real addresses'" in failed.stderr
    assert shop.json("show", "pr-2")["url"] is None

    # One that changes the schema, and one that fails.
    (shop.folder / "scrub.sql").write_text(
        "update customers set email = id || '@example.invalid'; create table t ();"
    )
    assert "changed the schema" in shop.preview("up", "pr-2", expect=1).stderr
    (shop.folder / "scrub.sql").write_text("\nupdate nobody set x = 1;")
    assert "scrub.sql, line 2: PostgreSQL says 42P01" in shop.preview("up", "pr-2", expect=1).stderr

    # Mended, it goes on, on a fresh branch; an app that knows a way to production is not started.
    (shop.folder / "scrub.sql").write_text(SCRUB)
    main = urlsplit(shop.uri())
    shop.settings(
        lambda text: text.replace(
            "[safety]", f'[safety]\nenv = {{ LEGACY = "postgres://x@localhost:{main.port}/shop" }}'
        )
    )
    refused = shop.preview("up", "pr-2", expect=4)
    assert "LEGACY: the preview's environment names a machine of production" in refused.stderr
    assert shop.json("show", "pr-2")["url"] is None
