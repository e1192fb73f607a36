-- finds: attention preflight:public.customers.fax
-- finds: attention drops:public.customers.fax
-- says: 20 values
-- before
create table customers (id int primary key, fax text);
insert into customers select i from generate_series(1, 20) i;
-- before of the fault
update customers set fax = '+49 30 ' || id;
-- goal
create table customers (id int primary key);
