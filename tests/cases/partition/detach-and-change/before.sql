create table seen (id int not null, n int, primary key (id)) partition by range (id);
create index seen_n on seen (n);
create table seen_2 partition of seen for values from (10) to (20);
