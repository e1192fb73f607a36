-- finds: attention rows:public.orders
-- before
create table orders (id int primary key, note text);
insert into orders select i, 'n' from generate_series(1, 20) i;
-- goal
create table orders (id int primary key, note text, state text);
-- step of the fault
insert into orders values (21, 'n');
