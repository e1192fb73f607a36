-- finds: blocked rows:public.orders
-- says: 3 of 20 rows were lost
-- before
create table orders (id int primary key, note text);
insert into orders select i, 'n' from generate_series(1, 20) i;
-- goal
create table orders (id int primary key, note text, state text);
-- step
update orders set state = 'new';
-- step of the fault
delete from orders where id < 4;
