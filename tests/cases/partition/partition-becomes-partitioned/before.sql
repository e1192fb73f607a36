create table p (id int, k int) partition by list (k);
create table t partition of p for values in (1);
create index on p (id);
create view v as select * from t;
