create table animal (id int primary key, name text default 'z', wings int not null default 2, constraint few check (wings < 9));
create table pet (owner text, tail int) inherits (animal);
create view see as select name from pet;
