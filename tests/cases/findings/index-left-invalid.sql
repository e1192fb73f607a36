-- finds: blocked integrity:public.orders_note
-- before
create table orders (id int primary key, note text);
insert into orders select i, i from generate_series(1, 20) i;
create unique index orders_note on orders (note);
-- goal
create table orders (id int primary key, note text, state text);
create unique index orders_note on orders (note);
-- by hand of the fault
update pg_index set indisvalid = false where indexrelid = 'orders_note'::regclass;
