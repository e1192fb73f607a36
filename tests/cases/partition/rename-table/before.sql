create table seen (id int not null, n int, primary key (id)) partition by range (id);
create table seen_1 partition of seen for values from (0) to (10);
create index seen_n on seen (n);
