create table seen (id int not null, n int default 1, x varchar(9), gone text, free text) partition by range (id);
create table seen_1 partition of seen for values from (0) to (10);
create table seen_2 (n int, free text, id int not null, gone text, x varchar(9) default 'q', constraint own check (length(x) < 9));
alter table seen attach partition seen_2 for values from (10) to (20);
create index seen_x on seen (x);
create index seen_2_gone on seen_2 (gone);
create index seen_1_lower on seen_1 (lower(x));
create view see as select x, n from seen_2;
