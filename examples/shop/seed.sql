-- The shop's data for v1/schema.sql: deterministic (arithmetic, no random(), no now()), so two runs on two machines agree.
--
-- How many orders: `set shop.orders = '5000'` before it in the same session; default 50000. There is a customer for
-- every ten orders, 500 products, and 1 to 4 lines in an order. Plain SQL: psql, psycopg or any driver can run it.
-- Safe to run twice: rows that are there stay as they are.

-- A number from 0 to n - 1 that looks random and depends on i and salt only; in pg_temp, so nothing stays behind.
create or replace function pg_temp.pick(i bigint, salt bigint, n bigint) returns bigint
language sql immutable
return (((i * 2654435761 + salt * 40503) % 4294967296) * (48271 + 1000 * salt) % 2147483647 / 7) % n;

create or replace function pg_temp.orders_wanted() returns bigint
language sql stable
return coalesce(nullif(current_setting('shop.orders', true), ''), '50000')::bigint;

create or replace function pg_temp.customers_wanted() returns bigint
language sql stable
return greatest(10, pg_temp.orders_wanted() / 10);

insert into customers (id, email, name, fax, country, created_at)
overriding system value
select
    i,
    'customer' || i || '@shop.example',
    (array[
        'Ada', 'Björn', 'Chiara', 'Dmitri', 'Elif', 'François', 'Grace', 'Haruki', 'Ines', 'João', 'Kofi', 'Łucja',
        'María', 'Nils', 'Oluwaseun', 'Priya', 'Quỳnh', 'Rosa', 'Søren', 'Tomáš', 'Ursula', 'Vera', 'Wei', 'Zoë'
    ])[1 + pg_temp.pick(i, 1, 24)]
    || ' ' ||
    (array[
        'Andersen', 'Becker', 'Costa', 'Dubois', 'Eriksson', 'Fischer', 'García', 'Horvat', 'Ivanova', 'Jansen',
        'Kowalski', 'Lindqvist', 'Müller', 'Novák', 'O''Brien', 'Papadopoulos', 'Rossi', 'Schmidt & Sons', 'Tanaka',
        'Ünal', 'van den Berg', 'Weber', 'Yılmaz', 'Zhang'
    ])[1 + pg_temp.pick(i, 2, 24)],
    case when pg_temp.pick(i, 3, 10) < 3 then '+49 30 ' || (100000 + pg_temp.pick(i, 4, 899999)) end,
    (array['DE', 'DE', 'DE', 'AT', 'CH', 'FR', 'IT', 'NL', 'PL', 'SE'])[1 + pg_temp.pick(i, 5, 10)],
    timestamptz '2021-01-01 00:00:00+00' + pg_temp.pick(i, 6, 1800) * interval '1 day' + pg_temp.pick(i, 7, 86400) * interval '1 second'
from generate_series(1, pg_temp.customers_wanted()) as i
on conflict do nothing;

insert into products (id, sku, title, price_cents, stock)
select
    i,
    'SKU-' || lpad(i::text, 5, '0'),
    (array['Oak', 'Linen', 'Copper', 'Ceramic', 'Walnut', 'Wool', 'Glass', 'Steel', 'Cork', 'Marble'])[1 + pg_temp.pick(i, 8, 10)]
    || ' ' ||
    (array['Lamp', 'Chair', 'Bowl', 'Blanket', 'Shelf', 'Vase', 'Teapot', 'Mirror', 'Stool', 'Clock'])[1 + pg_temp.pick(i, 9, 10)]
    || ' No. ' || i,
    490 + pg_temp.pick(i, 10, 24500),
    pg_temp.pick(i, 11, 400)
from generate_series(1, 500) as i
on conflict do nothing;

-- The lines come first as a list, because an order's total is the sum of its lines.
with lines as (
    select
        i as order_id,
        sum((1 + pg_temp.pick(i * 8 + line, 13, 3)) * products.price_cents) as cents
    from generate_series(1, pg_temp.orders_wanted()) as i
    cross join lateral generate_series(1, 1 + pg_temp.pick(i, 14, 4)) as line
    join products on products.id = 1 + pg_temp.pick(i * 8 + line, 12, 500)
    group by i
)
insert into orders (id, customer_id, status, placed_at, total, note)
select
    order_id,
    1 + pg_temp.pick(order_id, 15, pg_temp.customers_wanted()),
    (array['shipped', 'shipped', 'shipped', 'shipped', 'paid', 'paid', 'new', 'cancelled'])[1 + pg_temp.pick(order_id, 16, 8)]::order_status,
    timestamptz '2026-01-01 00:00:00+00' - (pg_temp.orders_wanted() - order_id) * interval '9 minutes'
        + pg_temp.pick(order_id, 17, 540) * interval '1 second',
    cents / 100.0,
    case when pg_temp.pick(order_id, 18, 12) = 0 then
        (array['Leave at the door', 'Gift: <no invoice> please', 'Ring twice', 'Call before delivery'])[1 + pg_temp.pick(order_id, 19, 4)]
    end
from lines
order by order_id
on conflict do nothing;

insert into order_items (order_id, line, product_id, quantity, unit_price_cents)
select i, line, products.id, 1 + pg_temp.pick(i * 8 + line, 13, 3), products.price_cents
from generate_series(1, pg_temp.orders_wanted()) as i
cross join lateral generate_series(1, 1 + pg_temp.pick(i, 14, 4)) as line
join products on products.id = 1 + pg_temp.pick(i * 8 + line, 12, 500)
order by i, line
on conflict do nothing;

-- Ids were given above; the next ones come after them.
select setval(pg_get_serial_sequence('customers', 'id'), (select max(id) from customers));
select setval(pg_get_serial_sequence('products', 'id'), (select max(id) from products));
select setval(pg_get_serial_sequence('orders', 'id'), (select max(id) from orders));

analyze customers, products, orders, order_items;
