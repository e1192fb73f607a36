create table animal (id int, name text);
create table pet () inherits (animal);
