-- What a developer did to the development database while writing version 2: from v1/schema.sql to v2/schema.sql.
-- Nobody runs this file on production. The orchestrator compares the two databases and writes its own plan.

-- Names are more than one word.
alter table customers rename column name to full_name;

-- Nobody has sent a fax since 2019.
alter table customers drop column fax;

-- Where did the order come from? Everything so far came from the web shop.
alter table orders add column channel text not null default 'web';

-- Business customers order for more than 999,999.99.
alter table orders alter column total type numeric(12, 2);

-- A customer's page lists the newest orders first.
create index orders_customer_placed_at on orders (customer_id, placed_at desc);

-- An order line of nothing is a bug.
alter table order_items add constraint order_items_quantity_positive check (quantity > 0);

-- Parcels: an order may leave in several.
create table shipments (
    id bigint generated always as identity primary key,
    order_id bigint not null references orders (id) on delete cascade,
    carrier text not null,
    tracking_code text not null unique,
    shipped_at timestamptz not null default now(),
    delivered_at timestamptz,
    constraint shipments_delivered_after_shipped check (delivered_at >= shipped_at)
);

create index shipments_order on shipments (order_id);
