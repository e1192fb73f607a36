-- finds: attention locks:public.orders
-- says: took AccessExclusiveLock
-- lies: lock
-- before
create table orders (id int primary key, amount int);
-- goal
create table orders (id int primary key, amount int, note text);
