-- NOT NULL constraints, which have names from PostgreSQL 18 on. "above": named like the one that it is inherited from,
-- which a partition's may be though it counts as declared there too (a key of its own makes it so).
select k.conrelid::int8 as relation, k.conkey[1] as number, k.conname as name, k.conislocal as local,
       k.conislocal and k.connoinherit as no_inherit, k.convalidated as validated,
       k.coninhcount > 0 and exists (
           select from pg_inherits i
           join pg_constraint w on w.conrelid = i.inhparent and w.contype = 'n' and w.conname = k.conname
           join pg_attribute b on b.attrelid = w.conrelid and b.attnum = w.conkey[1] and b.attname = a.attname
           where i.inhrelid = k.conrelid) as above
from pg_constraint k
join pg_class c on c.oid = k.conrelid
join pg_attribute a on a.attrelid = k.conrelid and a.attnum = k.conkey[1]
join pg_namespace n on n.oid = c.relnamespace
where k.contype = 'n' and n.nspname !~ '^(pg_|preview_kept_)' and n.nspname not in ('information_schema', 'preview_internal')
