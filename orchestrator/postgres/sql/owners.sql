-- Which relation the parts of relations belong to: indexes, constraints, defaults, triggers, rules, policies, row types.
select 'pg_class'::regclass::oid::int8 as class, c.oid::int8 as oid, coalesce(i.indrelid, c.oid)::int8 as relation
from pg_class c left join pg_index i on i.indexrelid = c.oid where c.oid >= 16384
union all
select 'pg_constraint'::regclass::oid::int8, oid::int8, conrelid::int8 from pg_constraint where conrelid <> 0
union all
select 'pg_attrdef'::regclass::oid::int8, oid::int8, adrelid::int8 from pg_attrdef
union all
select 'pg_trigger'::regclass::oid::int8, oid::int8, tgrelid::int8 from pg_trigger
union all
select 'pg_rewrite'::regclass::oid::int8, oid::int8, ev_class::int8 from pg_rewrite where ev_class >= 16384
union all
select 'pg_policy'::regclass::oid::int8, oid::int8, polrelid::int8 from pg_policy
union all
select 'pg_statistic_ext'::regclass::oid::int8, oid::int8, stxrelid::int8 from pg_statistic_ext
union all
select 'pg_type'::regclass::oid::int8, oid::int8, typrelid::int8 from pg_type where typrelid <> 0 and oid >= 16384
union all
select 'pg_type'::regclass::oid::int8, t.oid::int8, e.typrelid::int8
from pg_type t join pg_type e on e.typarray = t.oid where e.typrelid <> 0 and t.oid >= 16384
