create table p (id int, k int) partition by list (k);
create index on p (id);
create table t partition of p for values in (1) partition by range (id);
create table t_0 partition of t default;
