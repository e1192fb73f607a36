create table seen (id int not null, x text) partition by list (id);
create table seen_1 partition of seen (primary key (id)) for values in (1);
