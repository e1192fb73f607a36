create table animal (id int primary key, name varchar(5) default 'x', legs int, tail int);
create table pet (owner text, tail int) inherits (animal);
create table wild () inherits (animal);
create view see as select name from pet;
