create table seen (id int not null, n int, x text) partition by range (id);
create table seen_1 partition of seen for values from (0) to (10);
create table seen_2 partition of seen for values from (10) to (20) partition by list (n);
create table seen_2a partition of seen_2 for values in (1);
create table seen_2b partition of seen_2 default;
create index seen_old on seen (x, n);
create index seen_n on seen (n) where x is not null;
create unique index seen_u on seen (id, n);
