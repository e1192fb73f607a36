-- Who asks, and which database this is; "knows_system" says whether system.sql may be asked.
select d.oid::text as database, current_user::text as role,
       has_function_privilege('pg_catalog.pg_control_system()', 'execute') as knows_system,
       (select rolsuper from pg_roles where rolname = current_user) as superuser,
       array(select quote_ident(rolname) from pg_roles where rolname !~ '^pg_' order by 1) as roles
from pg_database d where d.datname = current_database()
