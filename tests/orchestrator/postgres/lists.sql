-- Expressions over varchar lists and others that PostgreSQL shows in another form after a dump and a restore.
create table public.o (id int primary key, status varchar(20) check (status in ('a','b''c')), c char(3), d varchar[] , n numeric,
  constraint nn check (status not in ('x','y') and c in ('abc','def')),
  g boolean generated always as (status in ('p','q')) stored,
  e text default (case when 'a'::varchar in ('a','b') then 'z' end));
create index oi on o (id) where status in ('a','b');
create index oe on o ((status in ('a','b')));
create view v as select id, status in ('a','b') as yes, case when status in ('k') then 1 end from o where status = any (array['a','b']::varchar[]);
create domain dd as varchar(5) check (value in ('a','b'));
create table p (x dd, check (x in ('a','b')));
create policy pol on o using (status in ('a','b'));
create function f() returns trigger language plpgsql as $$begin return new; end$$;
create trigger tr after insert on o for each row when (new.status in ('a','b')) execute function f();
create rule r as on delete to o where old.status in ('a','b') do instead nothing;
create function ba(x varchar, y bool default ('a'::varchar in ('a','b'))) returns bool begin atomic select x in ('a','b'); end;
create statistics st on (status in ('a','b')), id from o;
create table i8 (b bigint check (b in (1, 3000000000)), s smallint check (s in (1,2)), f float4 check (f in (1.5,2)), t time check (t in ('10:00','11:00')), u uuid, ip inet check (ip in ('1.1.1.1','2.2.2.2')), dt date check (dt > '2020-01-01' and dt < now() ), ts timestamp check (ts > '2020-01-01'::date), iv interval default '1 day', check (u in ('6ecd8c99-4036-403d-bf84-cf8400f67836')), l text check (l like 'a%' and l similar to 'b%' and l ~* 'x'), neg int check (neg > -1 and neg < - 5 and -neg > 4 and neg between -3 and 4), num numeric(8,2) default -1.50, ch "char" default 'a', bt bit(3) default B'101', vb varbit default '1');
create materialized view mv as select * from o where status in ('a','b');
create view v2 as select o.*, i8.b from o join i8 on o.id = i8.b or o.status in ('a','b') order by 1 limit 5 offset 2;
create view v3 as select extract(year from now()), 'x' || 'y' as xy, null as nl, array[1,2]::bigint[] as arr, interval '1' day, date '2020-01-01', (select 1) ;
create view v4(a,b) as values (1,'x'),(2,'y');
create view v5 as with recursive t(n) as (values (1) union all select n+1 from t where n<5) select * from t;
create table ex (during tsrange, room varchar(9), exclude using gist (during with &&) where (room in ('a','b')));
