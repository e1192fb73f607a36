create table seen (id int primary key, x text) partition by range (id);
create table seen_1 partition of seen for values from (0) to (10);
create table seen_2 partition of seen for values from (10) to (20) partition by list (id);
create table seen_2a partition of seen_2 for values in (11);
create index seen_x on seen (x);
create table other (id int references seen);
create view see as select * from seen_1;
