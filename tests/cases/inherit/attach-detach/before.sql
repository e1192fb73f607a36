create table animal (id int, name text);
create table extra (n int);
create table pet (id int, name text, n int);
create table wild (x int) inherits (animal, extra);
