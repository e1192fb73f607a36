create schema s;
create table s.t (id bigserial, code text, at timestamp not null, fresh int not null default 7) partition by range (at);
alter table s.t add primary key (id, at);
create table s.t_2020 partition of s.t for values from ('2020-01-01') to ('2021-01-01');
create table s.t_2021 partition of s.t for values from ('2021-01-01') to ('2022-01-01');
