-- finds: blocked preflight:public.orders.orders_quantity_positive
-- says: 2 rows
-- says: id=7, id=9
-- before
create table orders (id int primary key, quantity int not null, note text);
insert into orders select i, 1, 'n' from generate_series(1, 20) i;
-- before of the fault
update orders set quantity = 0 where id in (7, 9);
-- goal
create table orders (id int primary key, quantity int not null, note text,
                     constraint orders_quantity_positive check (quantity > 0));
