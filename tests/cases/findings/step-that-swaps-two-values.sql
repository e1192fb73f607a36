-- finds: attention values:public.orders.note
-- before
create table orders (id int primary key, note text);
insert into orders select i, 'n' || i from generate_series(1, 20) i;
-- goal
create table orders (id int primary key, note text, state text);
-- step of the fault
update orders set note = case id when 5 then 'n6' else 'n5' end where id in (5, 6);
