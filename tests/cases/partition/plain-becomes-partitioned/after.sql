create table who (id int primary key);
create function public.no() returns trigger language plpgsql as $$ begin raise exception 'fired'; end $$;
create table t (id int generated always as identity, part int not null default 0, n int check (n > -5), twice int generated always as (n * 2) stored, note text, who int, primary key (id, part)) partition by range (part);
create table t_1 partition of t for values from (0) to (10);
create table t_rest partition of t default;
create index t_n on t (n);
create index t_note on t (note) where n > 0;
alter table t add constraint t_who foreign key (who) references who;
create view seen as select id, n from t;
create function of_t(t) returns int language sql as 'select ($1).n';
create trigger no before insert on t for each row execute function public.no();
alter table t enable row level security;
create policy mine on t using (n > 0);
comment on table t is 'kept';
comment on column t.n is 'number';
grant select on t to pg_monitor;
grant update (n) on t to pg_monitor;

create table refers (id int, part int, foreign key (id, part) references t);
