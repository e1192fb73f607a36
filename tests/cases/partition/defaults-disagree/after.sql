create table seen (id int not null, n bigint default 7, x bigint) partition by range (id);
create table seen_1 partition of seen (n default 2, x default 6) for values from (0) to (10);
create table seen_2 partition of seen for values from (10) to (20);
