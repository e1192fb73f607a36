-- What earlier promotions set aside as a table: outside of the snapshot, but it may stand on what is in it.
select c.oid::int8 as oid, n.nspname as schema, c.relname as name
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and n.nspname ~ '^preview_kept_'
