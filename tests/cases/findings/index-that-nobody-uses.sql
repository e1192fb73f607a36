-- finds: attention performance:public.orders_state
-- before
create table orders (id int primary key, customer int not null, state text);
insert into orders select i, i % 500, 'new' from generate_series(1, 20000) i;
analyze orders;
-- goal
create table orders (id int primary key, customer int not null, state text);
-- goal of the fault
create index orders_state on orders (state);
-- goal of the twin
create index orders_customer on orders (customer);
-- queries
select * from orders where customer = $1
