create table animal (id int);
create table pet (id int, name text) inherits (animal);
