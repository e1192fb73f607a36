-- finds: attention preflight:public.orders.total
-- finds: attention values:public.orders.total
-- before
create table orders (id int primary key, total numeric(10, 4));
insert into orders select i, i from generate_series(1, 20) i;
-- before of the fault
update orders set total = 1.2345 where id = 5;
-- goal
create table orders (id int primary key, total numeric(10, 2));
