-- NOT NULL constraints, which have names from PostgreSQL 18 on. "more" is what they say beyond that.
select k.conrelid::int8 as relation, k.conkey[1] as number, k.conname as name, k.conislocal as local,
       k.conislocal and k.connoinherit as no_inherit, k.convalidated as validated,
       c.relname || '_' || a.attname || '_not_null' = k.conname as usual
from pg_constraint k
join pg_class c on c.oid = k.conrelid
join pg_attribute a on a.attrelid = k.conrelid and a.attnum = k.conkey[1]
join pg_namespace n on n.oid = c.relnamespace
where k.contype = 'n' and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'preview_internal')
