-- finds: blocked preflight:public.orders.quantity
-- before
create domain positive as int;
create table orders (id int primary key, quantity positive);
insert into orders select i, i from generate_series(1, 20) i;
-- before of the fault
update orders set quantity = -1 where id = 4;
-- goal
create domain positive as int constraint positive_check check (value > 0);
create table orders (id int primary key, quantity positive);
