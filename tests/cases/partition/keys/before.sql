create table place (id int primary key, a int not null, code text);
create table seen (id int not null, n int not null, x text) partition by range (id);
create table seen_1 partition of seen for values from (0) to (10);
create table seen_2 partition of seen for values from (10) to (20) partition by list (n);
create table seen_2a partition of seen_2 for values in (1);
create table other (id int, n int);
