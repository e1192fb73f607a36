-- finds: attention values:public.orders.note
-- before
create table orders (id int primary key, note text);
insert into orders select i, 'n' from generate_series(1, 20) i;
-- goal
create table orders (id int primary key, note text, state text);
-- step
update orders set state = 'new';
-- step of the fault
update orders set state = 'new', note = 'new' where id = 5;
