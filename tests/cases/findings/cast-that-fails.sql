-- finds: blocked preflight:public.customers.born
-- says: id=2
-- before
create table customers (id int primary key, born text);
insert into customers select i, '2000-01-01' from generate_series(1, 20) i;
-- before of the fault
update customers set born = 'a spring day' where id = 2;
-- goal
create table customers (id int primary key, born date);
