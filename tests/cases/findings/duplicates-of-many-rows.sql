-- finds: blocked preflight:public.orders.orders_state_key
-- says: id=1 and id=2 and id=3 (of 50), id=51 and id=52
-- before
create table orders (id int primary key, state text);
insert into orders select i, case when i <= 50 then 'a' when i <= 52 then 'b' else i::text end from generate_series(1, 60) i;
-- before of the twin
update orders set state = id;
-- goal
create table orders (id int primary key, state text constraint orders_state_key unique);
