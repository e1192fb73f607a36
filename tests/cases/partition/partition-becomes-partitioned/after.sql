create table p (id int, k int) partition by list (k);
create table t partition of p for values in (1) partition by range (id);
create table t_0 partition of t default;
create index on p (id);
create view v as select * from t;
