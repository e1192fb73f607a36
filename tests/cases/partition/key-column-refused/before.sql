create table seen (id int, n int) partition by range (id);
create table seen_1 partition of seen for values from (0) to (10);
