-- finds: attention preflight:public.old_orders
-- finds: attention drops:public.old_orders
-- finds: attention rows:public.old_orders
-- says: 20 rows
-- before
create table old_orders (id int primary key);
create table orders (id int primary key);
-- before of the fault
insert into old_orders select generate_series(1, 20);
-- goal
create table orders (id int primary key);
