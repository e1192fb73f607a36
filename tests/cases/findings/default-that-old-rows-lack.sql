-- finds: attention values:public.orders.state
-- says: 3 of 20 rows are NULL
-- before
create table orders (id int primary key);
insert into orders select generate_series(1, 20);
-- goal
create table orders (id int primary key, state text default 'new');
-- step of the fault
update orders set state = null where id < 4;
