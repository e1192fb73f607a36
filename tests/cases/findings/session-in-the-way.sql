-- finds: attention forecast:pid *
-- says: idle in transaction
-- before
create table orders (id int primary key);
create table other (id int primary key);
-- goal
create table orders (id int primary key, state text);
create table other (id int primary key);
-- session of the fault
select * from orders
