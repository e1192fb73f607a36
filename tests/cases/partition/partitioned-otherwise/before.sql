create table t (a int, b text) partition by list (a);
create table t_1 partition of t for values in (1);
create table t_2 partition of t for values in (2) partition by range (b);
create table t_2_x partition of t_2 for values from ('a') to ('z');
create table t_3 partition of t for values in (3);
create table t_4 partition of t for values in (4);
create index t_b on t (b);
