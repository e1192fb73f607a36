create table t (id int not null, a text not null) partition by list (a);
create table t_1 partition of t for values in ('x');
create unique index t_a_id_key on only t (a, id);
create unique index t_1_a_id_key on t_1 (a, id);
alter index t_a_id_key attach partition t_1_a_id_key;
alter table t_1 add constraint t_1_own unique using index t_1_a_id_key;
