"""The shop, version 2: its pages over the schema in schema.sql. Nothing here knows HTTP or colours."""

import json
import sys
from urllib.parse import urlencode

import look
import psycopg
from web import Database, Html, NotFound, Request, Response, Route, joined, page_part, serve

PER_PAGE = 25
CARRIERS = ("DHL", "DPD", "GLS", "UPS")
LOOK = look.Look(name="Shop v2", accent="#0f8a6d", facts="schema with shipments")

#: Reads every column that this version cannot live without; costs nothing.
NEEDED = """
select c.full_name, o.total, o.status, o.channel, i.quantity, p.price_cents, s.units, h.tracking_code
from customers c, orders o, order_items i, products p, product_sales s, shipments h limit 0
"""


def overview(database: Database, _request: Request) -> Response:
    with database.transaction() as connection:
        figures = connection.execute(
            """
            select (select count(*) from customers) as customers, (select count(*) from orders) as orders,
                   (select count(*) from products) as products, (select count(*) from shipments) as shipments,
                   (select sum(total) from orders where status <> 'cancelled') as revenue
            """
        ).fetchone()
        channels = connection.execute(
            "select channel, count(*) as orders, sum(total) as total from orders group by channel order by 2 desc, 1"
        ).fetchall()
        newest = connection.execute(
            """
            select orders.id, customers.full_name, orders.placed_at, orders.status, orders.channel, orders.total
            from orders join customers on customers.id = orders.customer_id
            order by orders.placed_at desc, orders.id desc limit 10
            """
        ).fetchall()
    assert figures is not None
    body = joined(
        [
            look.tiles(
                [
                    ("Customers", figures["customers"]),
                    ("Orders", figures["orders"]),
                    ("Products", figures["products"]),
                    ("Shipments", figures["shipments"]),
                    ("Revenue, €", figures["revenue"]),
                ]
            ),
            look.heading("Channels"),
            look.table(
                ["Channel", "#Orders", "#Total, €"],
                [(look.tag(row["channel"]), row["orders"], row["total"]) for row in channels],
            ),
            look.heading("Newest orders"),
            look.table(
                ["Order", "Customer", "Placed", "Channel", "Status", "#Total, €"],
                [
                    (
                        look.link(f"/orders/{row['id']}", f"#{row['id']}"),
                        row["full_name"],
                        row["placed_at"],
                        look.tag(row["channel"]),
                        look.tag(row["status"]),
                        row["total"],
                    )
                    for row in newest
                ],
            ),
        ]
    )
    return LOOK.page("Overview", body)


def customers(database: Database, request: Request) -> Response:
    with database.transaction() as connection:
        pages = _pages(connection.execute("select count(*) from customers").fetchone())
        rows = connection.execute(
            "select id, full_name, email, country, created_at from customers order by id desc limit %s offset %s",
            (PER_PAGE, (request.page - 1) * PER_PAGE),
        ).fetchall()
    listed = look.table(
        ["Full name", "E-mail", "Country", "Since"],
        [
            (
                look.link(f"/customers/{row['id']}", row["full_name"]),
                row["email"],
                row["country"],
                row["created_at"],
            )
            for row in rows
        ],
    )
    return LOOK.page("Customers", joined([listed, look.paging("/customers?", request.page, pages)]))


def customer(database: Database, request: Request) -> Response:
    with database.transaction() as connection:
        row = connection.execute("select * from customers where id = %s", request.ids).fetchone()
        if row is None:
            raise NotFound
        orders_of = connection.execute(
            """
            select id, placed_at, channel, status, total from orders
            where customer_id = %s order by placed_at desc limit 50
            """,
            request.ids,
        ).fetchall()
    body = joined(
        [
            look.facts(
                [
                    ("Full name", row["full_name"]),
                    ("E-mail", row["email"]),
                    ("Country", row["country"]),
                    ("Since", row["created_at"]),
                ]
            ),
            look.heading("Orders"),
            look.table(
                ["Order", "Placed", "Channel", "Status", "#Total, €"],
                [
                    (
                        look.link(f"/orders/{o['id']}", f"#{o['id']}"),
                        o["placed_at"],
                        look.tag(o["channel"]),
                        look.tag(o["status"]),
                        o["total"],
                    )
                    for o in orders_of
                ],
            ),
        ]
    )
    return LOOK.page(row["full_name"], body)


def orders(database: Database, request: Request) -> Response:
    with database.transaction() as connection:
        pages = _pages(connection.execute("select count(*) from orders").fetchone())
        rows = connection.execute(
            """
            select orders.id, orders.customer_id, customers.full_name, orders.placed_at, orders.channel,
                   orders.status, orders.total
            from orders join customers on customers.id = orders.customer_id
            order by orders.placed_at desc, orders.id desc limit %s offset %s
            """,
            (PER_PAGE, (request.page - 1) * PER_PAGE),
        ).fetchall()
    listed = look.table(
        ["Order", "Customer", "Placed", "Channel", "Status", "#Total, €"],
        [
            (
                look.link(f"/orders/{row['id']}", f"#{row['id']}"),
                look.link(f"/customers/{row['customer_id']}", row["full_name"]),
                row["placed_at"],
                look.tag(row["channel"]),
                look.tag(row["status"]),
                row["total"],
            )
            for row in rows
        ],
    )
    return LOOK.page("Orders", joined([listed, look.paging("/orders?", request.page, pages)]))


def order(database: Database, request: Request) -> Response:
    with database.transaction() as connection:
        row = connection.execute(
            """
            select orders.*, customers.full_name from orders join customers on customers.id = orders.customer_id
            where orders.id = %s
            """,
            request.ids,
        ).fetchone()
        if row is None:
            raise NotFound
        items = connection.execute(
            """
            select products.title, order_items.quantity, order_items.unit_price_cents, order_items.amount_cents
            from order_items join products on products.id = order_items.product_id
            where order_items.order_id = %s order by order_items.line
            """,
            request.ids,
        ).fetchall()
        shipments = connection.execute(
            "select carrier, tracking_code, shipped_at, delivered_at from shipments where order_id = %s order by id",
            request.ids,
        ).fetchall()
    body = joined(
        [
            look.facts(
                [
                    ("Customer", look.link(f"/customers/{row['customer_id']}", row["full_name"])),
                    ("Placed", row["placed_at"]),
                    ("Channel", look.tag(row["channel"])),
                    ("Status", look.tag(row["status"])),
                    ("Total, €", row["total"]),
                    ("Note", row["note"]),
                ]
            ),
            look.heading("Lines"),
            _lines(items),
            page_part(
                '<form method="post" action="/orders/{id}/note">'
                '<input name="note" value="{note}" aria-label="Note"><button>Save the note</button></form>'
                '<form method="post" action="/orders/{id}/again"><button>Order the same again</button></form>',
                id=row["id"],
                note=row["note"] or "",
            ),
            look.heading("Shipments"),
            look.table(
                ["Carrier", "Tracking", "Shipped", "Delivered"],
                [(s["carrier"], s["tracking_code"], s["shipped_at"], s["delivered_at"]) for s in shipments],
                empty="Nothing was shipped yet.",
            ),
            page_part(
                '<form method="post" action="/orders/{id}/shipments">'
                '<select name="carrier" aria-label="Carrier">{carriers}</select>'
                "<button>Record a shipment</button></form>",
                id=row["id"],
                carriers=joined(page_part("<option>{name}</option>", name=name) for name in CARRIERS),
            ),
        ]
    )
    return LOOK.page(f"Order #{row['id']}", body)


def note(database: Database, request: Request) -> Response:
    text = request.form.get("note", "")[:200].replace("\x00", "")
    with database.transaction(read_only=False) as connection:
        changed = connection.execute(
            "update orders set note = nullif(%s, '') where id = %s", (text, *request.ids)
        ).rowcount
    if not changed:
        raise NotFound
    return Response(status=303, location=f"/orders/{request.ids[0]}")


def again(database: Database, request: Request) -> Response:
    with database.transaction(read_only=False) as connection:
        row = connection.execute(
            "insert into orders (customer_id, total) select customer_id, total from orders where id = %s returning id",
            request.ids,
        ).fetchone()
        if row is None:
            raise NotFound
        connection.execute(
            """
            insert into order_items (order_id, line, product_id, quantity, unit_price_cents)
            select %s, line, product_id, quantity, unit_price_cents from order_items where order_id = %s
            """,
            (row["id"], *request.ids),
        )
    return Response(status=303, location=f"/orders/{row['id']}")


def ship(database: Database, request: Request) -> Response:
    carrier = request.form.get("carrier", "")
    if carrier not in CARRIERS:
        return LOOK.error(400, f"Choose a carrier: {', '.join(CARRIERS)}.")
    with database.transaction(read_only=False) as connection:
        # The row lock makes the number of this shipment ours, and with it the tracking code.
        if (
            connection.execute("select 1 from orders where id = %s for update", request.ids).fetchone()
            is None
        ):
            raise NotFound
        connection.execute(
            """
            insert into shipments (order_id, carrier, tracking_code)
            select %(order)s, %(carrier)s, %(order)s || '-' || (count(*) + 1) from shipments where order_id = %(order)s
            """,
            {"order": request.ids[0], "carrier": carrier},
        )
    return Response(status=303, location=f"/orders/{request.ids[0]}")


def products(database: Database, request: Request) -> Response:
    words = request.query.get("q", "")[:100].replace("\x00", "")
    pattern = "%" + words.lower().replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") + "%"
    with database.transaction() as connection:
        pages = _pages(
            connection.execute("select count(*) from products where search like %s", (pattern,)).fetchone()
        )
        rows = connection.execute(
            """
            select products.sku, products.title, products.price_cents, products.stock, product_sales.units
            from products join product_sales on product_sales.product_id = products.id
            where products.search like %s order by product_sales.units desc, products.id limit %s offset %s
            """,
            (pattern, PER_PAGE, (request.page - 1) * PER_PAGE),
        ).fetchall()
    form = page_part(
        '<form><input name="q" value="{words}" placeholder="oak lamp" aria-label="Search">'
        "<button>Search</button></form>",
        words=words,
    )
    listed = look.table(
        ["Article", "Title", "#Price, €", "#In stock", "#Sold"],
        [(row["sku"], row["title"], _euros(row["price_cents"]), row["stock"], row["units"]) for row in rows],
        empty="No product has these words.",
    )
    path = "/products?" + (urlencode({"q": words}) + "&" if words else "")
    return LOOK.page("Products", joined([form, listed, look.paging(path, request.page, pages)]))


def healthz(database: Database, _request: Request) -> Response:
    try:
        with database.transaction(timeout_ms=2_000) as connection:
            connection.execute(NEEDED)
    except psycopg.Error as error:
        what = "the database does not answer"
        if not isinstance(error, psycopg.OperationalError):
            what = f"the schema is not the one this version needs: {error.diag.message_primary}"
        return Response(
            body=json.dumps({"status": "unhealthy", "reason": what}),
            status=503,
            content_type="application/json",
        )
    return Response(body=json.dumps({"status": "ok", "version": "v2"}), content_type="application/json")


def _lines(items: list[dict[str, object]]) -> Html:
    return look.table(
        ["Product", "#Quantity", "#Price, €", "#Amount, €"],
        [
            (i["title"], i["quantity"], _euros(i["unit_price_cents"]), _euros(i["amount_cents"]))
            for i in items
        ],
    )


def _euros(cents: object) -> str:
    return f"{int(str(cents)) / 100:,.2f}"


def _pages(row: dict[str, int] | None) -> int:
    return max(1, -(-(row["count"] if row else 0) // PER_PAGE))


ROUTES = [
    Route(method="GET", pattern=r"/", page=overview),
    Route(method="GET", pattern=r"/customers", page=customers),
    Route(method="GET", pattern=r"/customers/([0-9]{1,18})", page=customer),
    Route(method="GET", pattern=r"/orders", page=orders),
    Route(method="GET", pattern=r"/orders/([0-9]{1,18})", page=order),
    Route(method="POST", pattern=r"/orders/([0-9]{1,18})/shipments", page=ship),
    Route(method="POST", pattern=r"/orders/([0-9]{1,18})/note", page=note),
    Route(method="POST", pattern=r"/orders/([0-9]{1,18})/again", page=again),
    Route(method="GET", pattern=r"/products", page=products),
    Route(method="GET", pattern=r"/healthz", page=healthz),
]

if __name__ == "__main__":
    sys.exit(serve(ROUTES, LOOK.error))
