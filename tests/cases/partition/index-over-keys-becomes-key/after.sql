create table seen (id int not null, x text, constraint seen_key primary key (id)) partition by list (id);
create table seen_1 (id int not null, x text, constraint one primary key (id));
alter table seen attach partition seen_1 for values in (1);
create table other (id int constraint to_one references seen_1);
