-- finds: blocked preflight:public.orders.orders_customer_fkey
-- says: id=11
-- before
create table customers (id int primary key);
create table orders (id int primary key, customer int);
insert into customers select generate_series(1, 20);
insert into orders select i, i from generate_series(1, 20) i;
-- before of the fault
update orders set customer = 999 where id = 11;
-- goal
create table customers (id int primary key);
create table orders (id int primary key, customer int, constraint orders_customer_fkey foreign key (customer) references customers);
