create table animal (id int, name text);
create table extra (n int);
create table pet (id int, name text, n int);
alter table pet inherit animal; alter table pet inherit extra;
create table wild (x int) inherits (animal, extra);
alter table wild no inherit animal;
