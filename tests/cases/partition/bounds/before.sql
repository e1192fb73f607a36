create table seen (id int primary key, n int) partition by range (id);
create index on seen (n);
create table seen_1 partition of seen for values from (0) to (10);
create table seen_2 partition of seen for values from (10) to (20);
