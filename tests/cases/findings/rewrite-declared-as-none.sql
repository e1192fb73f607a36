-- finds: attention locks:public.orders
-- says: though it declared no rewrite
-- lies: rewrites_table
-- before
create table orders (id int primary key, amount int);
insert into orders select i, i from generate_series(1, 20) i;
-- goal
create table orders (id int primary key, amount bigint);
