"""Production's queries in the report: given as an export, planned on the branch before and after the migration."""

from tests.acceptance.shop import RENAME, Shop

EXPORT = """queryid,query,calls,total_exec_time,hours
1,"select fax from customers where id = $1",240,12.5,2
2,"select id, total from orders where id = $1",90000,400,2
3,"alter role x password 'not-shown'",1,1,2
4,"select * from no_such_table where x = 'not-shown'",1,1,2
"""

WORKLOAD = """-- name: an order
-- param: id = select id from orders order by id limit 20
select * from orders where id = :id;
-- name: names
select name from customers limit 10;
"""


def test_a_query_that_would_fail_is_named_before_the_promotion(common_shop: Shop) -> None:
    shop = common_shop
    (shop.folder / "queries.csv").write_text(EXPORT)
    (shop.folder / "checks").mkdir()
    (shop.folder / "checks" / "shop.sql").write_text(WORKLOAD)
    shop.settings(lambda text: f'{text}\n[report]\nstatements = "queries.csv"\n')
    value = shop.json("up", "slow-1", "--answer", f"{RENAME}=name")
    assert value["report"]["verdict"] == "blocked"
    failing, named = [f for f in value["report"]["findings"] if f["severity"] == "blocked"]
    assert (failing["check"], failing["subject"]) == ("performance", "public.customers.fax")
    assert (named["check"], named["subject"]) == ("performance", "workload names")
    workload = {each["name"]: each for each in value["report"]["measures"]["workload"]}
    assert workload["an order"]["rows_before"] == workload["an order"]["rows_after"] == 20
    assert not [b for b in shop.neon.branches(shop.project_id) if b.name.endswith("-untouched")]
    assert "1 query that production runs (120 calls an hour) cannot run" in failing["message"]
    queries = value["report"]["measures"]["queries"]
    assert queries["source"] == "queries.csv"
    assert {key: count for key, count in queries["outcomes"].items() if count} == {
        "fails": 1,
        "same": 1,
        "not looked at": 1,
    }
    whole = (
        shop.preview("report", "slow-1", "--json").stdout + shop.preview("report", "slow-1", "--html").stdout
    )
    assert "not-shown" not in whole
    told = shop.preview("report", "slow-1").stdout
    assert "--allow performance:public.customers.fax --allow 'performance:workload names'" in told
    refused = shop.preview("approve", "slow-1", "--allow", "deletes_data:public.customers.fax", expect=4)
    assert "performance:public.customers.fax" in refused.stderr

    # What a killed run left to compare with is found by its name.
    main = shop.neon.default_branch(shop.project_id)
    left = f"{value['branch']['name']}-untouched"
    shop.neon.create_branch(shop.project_id, name=left, parent_id=main.id)
    shop.preview("discard", "slow-1")
    assert not shop.leftovers(value)
