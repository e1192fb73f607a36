-- finds: blocked preflight:public.orders.amount
-- says: id=6
-- before
create table orders (id int primary key, amount bigint);
insert into orders select i, i from generate_series(1, 20) i;
-- before of the fault
update orders set amount = 5000000000 where id = 6;
-- goal
create table orders (id int primary key, amount int);
