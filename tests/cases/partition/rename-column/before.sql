create table seen (id int not null, n int, x text, primary key (id)) partition by range (id);
create table seen_1 partition of seen for values from (0) to (10);
create table seen_2 partition of seen for values from (10) to (20);
create index on seen (x);
create view see as select x from seen_1;
