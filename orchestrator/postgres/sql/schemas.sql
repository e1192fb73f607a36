-- Namespaces of the user.
select oid::int8 as oid, nspname as name
from pg_namespace
where nspname !~ '^(pg_|preview_kept_)' and nspname not in ('information_schema', 'preview_internal')
