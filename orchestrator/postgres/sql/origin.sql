-- Which physical database this is: branches of one share both numbers.
select s.system_identifier::text || '/' || d.oid::text as origin, current_user::text as role,
       current_setting('server_version_num')::int as version
from pg_control_system() s, pg_database d where d.datname = current_database()
