-- Foreign-data wrappers, servers, user mappings, and what foreign tables add to a table. "options" may hold passwords.
with users as (
    select oid, nspname from pg_namespace
    where nspname !~ '^(pg_|preview_kept_)' and nspname not in ('information_schema', 'preview_internal')
)
select 'pg_foreign_data_wrapper'::regclass::oid::int8 as class, w.oid::int8 as oid, 'foreign-data wrapper' as kind,
       array[w.fdwname] as path, '' as wrapper, coalesce(w.fdwoptions, '{}') as options,
       nullif(w.fdwhandler, 0)::regproc::text as handler, nullif(w.fdwvalidator, 0)::regproc::text as validator,
       null as type, null as version, true as seen
from pg_foreign_data_wrapper w
union all
select 'pg_foreign_server'::regclass::oid::int8, s.oid::int8, 'server', array[s.srvname], w.fdwname,
       coalesce(s.srvoptions, '{}'), null, null, s.srvtype, s.srvversion, true
from pg_foreign_server s join pg_foreign_data_wrapper w on w.oid = s.srvfdw
union all
-- the options of others' mappings are null: the view shows them to whom they may concern
select 'pg_user_mapping'::regclass::oid::int8, u.umid::int8, 'user mapping', array[u.srvname, u.usename], '',
       coalesce(u.umoptions, '{}'), null, null, null, null,
       u.umoptions is not null or (select rolsuper from pg_roles where rolname = current_user)
from pg_user_mappings u
union all
select 'pg_foreign_table'::regclass::oid::int8, f.ftrelid::int8, 'foreign table', array[n.nspname, c.relname], s.srvname,
       coalesce(f.ftoptions, '{}'), null, null, null, null, true
from pg_foreign_table f join pg_class c on c.oid = f.ftrelid join users n on n.oid = c.relnamespace
join pg_foreign_server s on s.oid = f.ftserver
