-- finds: blocked preflight:public.customers.country
-- says: id=5
-- before
create table customers (id int primary key, country text);
insert into customers select i, 'DE' from generate_series(1, 20) i;
-- before of the fault
update customers set country = 'Germany' where id = 5;
-- goal
create table customers (id int primary key, country varchar(2));
