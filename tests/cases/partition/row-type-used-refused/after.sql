create table t (a int) partition by list (a);
create table u (x t);
