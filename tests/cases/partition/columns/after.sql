create table seen (id int not null, n bigint default 7, x text, m int not null default 3, m2 text default 'm', free text not null) partition by range (id);
create table seen_1 partition of seen for values from (0) to (10);
create table seen_2 (n bigint default 8, id int not null, x text default 'q' not null, m int not null default 4, free text not null, m2 text, constraint own check (length(x) < 9));
alter table seen attach partition seen_2 for values from (10) to (20);
alter table seen alter m2 set storage external;
comment on column seen_2.m is 'mine';
create index seen_x on seen (x);
create index seen_1_lower on seen_1 (lower(x));
create view see as select x, n from seen_2;
