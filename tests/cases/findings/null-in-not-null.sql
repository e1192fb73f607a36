-- finds: blocked preflight:public.orders.note
-- says: 3 rows
-- says: id=1, id=2, id=3
-- before
create table orders (id int primary key, note text);
insert into orders select i, 'n' from generate_series(1, 20) i;
-- before of the fault
update orders set note = null where id < 4;
-- goal
create table orders (id int primary key, note text not null);
