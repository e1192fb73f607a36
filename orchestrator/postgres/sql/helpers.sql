-- Relations with a part whose name is reserved for helpers. To be filled in: the reserved names, and owners.sql.
select distinct o.relation
from (
    select 'pg_class'::regclass as class, oid, relname as name from pg_class
    union all
    select 'pg_class'::regclass, attrelid, attname from pg_attribute
    union all
    select 'pg_constraint'::regclass, oid, conname from pg_constraint
    union all
    select 'pg_trigger'::regclass, oid, tgname from pg_trigger
) named
join ({owners}) o on o.class = named.class::oid::int8 and o.oid = named.oid::int8
where named.name like any ({prefixes})
