-- finds: blocked preflight:public.orders.state
-- says: id=4
-- before
create type state as enum ('new', 'paid', 'lost');
create table orders (id int primary key, state state not null);
insert into orders select i, 'new' from generate_series(1, 20) i;
-- before of the fault
update orders set state = 'lost' where id = 4;
-- goal
create type state as enum ('new', 'paid');
create table orders (id int primary key, state state not null);
