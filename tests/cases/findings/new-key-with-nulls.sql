-- finds: blocked preflight:public.orders.number
-- before
create table orders (number int, note text);
insert into orders select i, 'n' from generate_series(1, 20) i;
-- before of the fault
insert into orders values (null, 'n');
-- goal
create table orders (number int primary key, note text);
