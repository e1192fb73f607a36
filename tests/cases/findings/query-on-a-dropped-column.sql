-- finds: blocked performance:public.customers.fax
-- before
create table customers (id int primary key, fax text);
insert into customers select i from generate_series(1, 20) i;
-- goal
create table customers (id int primary key);
-- queries
select id from customers where id = $1
-- queries of the fault
select fax from customers where id = $1
