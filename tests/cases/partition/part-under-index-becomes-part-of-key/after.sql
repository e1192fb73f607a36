create table t (id int not null, a text not null) partition by list (a);
create table t_1 partition of t for values in ('x');
alter table t add constraint t_a_id_key unique (a, id);
