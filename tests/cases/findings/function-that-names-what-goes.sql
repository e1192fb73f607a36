-- finds: attention drops:public.customers.fax
-- finds: attention drops:function public.fax_of(integer)
-- before
create table customers (id int primary key, fax text);
create function name_of(i int) returns text language plpgsql as 'begin return (select id::text from customers where id = i); end';
-- before of the fault
create function fax_of(i int) returns text language plpgsql as 'begin return (select fax from customers where id = i); end';
-- goal
create table customers (id int primary key);
create function name_of(i int) returns text language plpgsql as 'begin return (select id::text from customers where id = i); end';
-- goal of the fault
create function fax_of(i int) returns text language plpgsql as 'begin return (select fax from customers where id = i); end';
