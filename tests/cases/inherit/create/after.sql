create table animal (id int primary key, name text default 'x' not null, legs int constraint legal check (legs >= 0), constraint here check (id > 0) no inherit);
create table pet (owner text) inherits (animal);
create table wild (id int, name text not null default 'y', constraint legal check (legs >= 0)) inherits (animal);
create table both_of (fur int, name text default 'w') inherits (pet, wild);
alter table pet alter name drop default;
alter table pet alter legs set not null;
create index pet_name on pet (name);
