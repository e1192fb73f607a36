-- finds: blocked preflight:public.customers.customers_email_key
-- says: id=3 and id=4
-- before
create table customers (id int primary key, email text not null);
insert into customers select i, i || '@shop.example' from generate_series(1, 20) i;
-- before of the fault
update customers set email = 'same@shop.example' where id in (3, 4);
-- goal
create table customers (id int primary key, email text not null constraint customers_email_key unique);
