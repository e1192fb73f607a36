-- finds: attention performance:query *
-- finds: attention performance:public.orders_customer
-- says: reads all of public.orders
-- before
create table orders (id int primary key, customer int not null, state text);
insert into orders select i, i % 500, 'new' from generate_series(1, 20000) i;
create index orders_customer on orders (customer);
analyze orders;
-- goal
create table orders (id int primary key, customer int not null, state text);
-- goal of the twin
create index orders_of on orders (customer, id);
-- queries
select * from orders where customer = $1
