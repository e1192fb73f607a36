-- finds: blocked preflight:public.customers_lower
-- says: id=3 and id=4
-- before
create table customers (id int primary key, email text not null);
insert into customers select i, i || '@shop.example' from generate_series(1, 20) i;
-- before of the fault
update customers set email = case id when 3 then 'Ada@x' else 'ada@X' end where id in (3, 4);
-- goal
create table customers (id int primary key, email text not null);
create unique index customers_lower on customers (lower(email));
