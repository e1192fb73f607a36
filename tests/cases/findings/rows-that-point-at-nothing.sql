-- finds: blocked integrity:public.orders.orders_customer_fkey
-- before
create table customers (id int primary key);
create table orders (id int primary key, customer int constraint orders_customer_fkey references customers);
insert into customers select generate_series(1, 20);
insert into orders select i, i from generate_series(1, 20) i;
-- before of the fault
set session_replication_role = replica; update orders set customer = 99 where id = 3; reset session_replication_role;
-- goal
create table customers (id int primary key);
create table orders (id int primary key, customer int constraint orders_customer_fkey references customers, state text);
