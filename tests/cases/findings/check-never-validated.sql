-- finds: attention integrity:public.orders.positive
-- before
create table orders (id int primary key, quantity int);
insert into orders select i, i from generate_series(1, 20) i;
-- before of the fault
alter table orders add constraint positive check (quantity > 0) not valid;
-- goal
create table orders (id int primary key, quantity int, state text);
-- goal of the fault
alter table orders add constraint positive check (quantity > 0) not valid;
