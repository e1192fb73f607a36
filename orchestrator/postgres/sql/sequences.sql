-- Sequences; "kind" a: serial or OWNED BY, i: an identity column's.
select s.seqrelid::int8 as oid, format_type(s.seqtypid, null) as type, s.seqstart as start,
       s.seqincrement as increment, s.seqmin as minimum, s.seqmax as maximum, s.seqcache as cache,
       s.seqcycle as cycle, d.refobjid::int8 as relation, d.refobjsubid as number, coalesce(d.deptype, '') as owned,
       k.relpersistence = 'u' as unlogged
from pg_sequence s join pg_class k on k.oid = s.seqrelid
left join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = s.seqrelid and d.objsubid = 0
     and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')
