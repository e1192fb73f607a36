-- finds: attention values:public.customers.orders
-- before
create table customers (id int primary key, orders int not null default 0);
create table orders (id int primary key, customer int);
insert into customers select generate_series(1, 20);
insert into orders select i, i from generate_series(1, 20) i;
-- before of the fault
create function counted() returns trigger language plpgsql as 'begin update customers set orders = orders + 1 where id = new.customer; return new; end';
create trigger counted after update on orders for each row execute function counted();
-- goal
create table customers (id int primary key, orders int not null default 0);
create table orders (id int primary key, customer int, state text);
-- goal of the fault
create function counted() returns trigger language plpgsql as 'begin update customers set orders = orders + 1 where id = new.customer; return new; end';
create trigger counted after update on orders for each row execute function counted();
-- step
update orders set state = 'new';
