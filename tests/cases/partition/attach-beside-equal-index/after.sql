create table t (id int, a text, b text) partition by list (a);
create table t_1 (id int, a text, b text);
alter table t attach partition t_1 for values in ('x');
create index t_idx on t (a, b);
create index local_idx on t_1 (a, b);
