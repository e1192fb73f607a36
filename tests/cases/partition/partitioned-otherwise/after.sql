create table t (a int, b text) partition by hash (b);
create table t_1 partition of t for values with (modulus 2, remainder 0);
create table t_2 partition of t for values with (modulus 2, remainder 1);
create table t_4 (a int, b text);
create index t_b on t (b);
create index t_4_b_idx on t_4 (b);
