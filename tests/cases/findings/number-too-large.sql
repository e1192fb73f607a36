-- finds: blocked preflight:public.orders.total
-- finds: attention preflight:public.orders.total
-- says: 3 rows of public.orders have a number in total that is too large for numeric(6,1)
-- says: id=3, id=4, id=5
-- before
create table orders (id int primary key, total numeric(8,2), weight double precision, size real);
insert into orders select i, i * 10, i, i from generate_series(1, 20) i;
insert into orders values (21, 'NaN', 2147483647, 2147483520);
-- before of the fault
update orders set total = 123456.0 where id = 3;
update orders set total = -100000.0 where id = 4;
update orders set total = 99999.95 where id = 5;
-- before of the twin
update orders set total = 99999.0 where id = 3;
-- goal
create table orders (id int primary key, total numeric(6,1), weight integer, size integer);
