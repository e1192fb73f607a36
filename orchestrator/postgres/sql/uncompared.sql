-- What is outside of a schema comparison but in the database: named in the plan, by count or by name, never by value.
select 'large objects' as what, count(*)::text as detail from pg_largeobject_metadata having count(*) > 0
union all
select 'subscriptions', string_agg(format('%I%s', s.subname, case when s.subenabled then '' else ' (disabled)' end), ', '
                                   order by s.subname)
from pg_subscription s where s.subdbid = (select oid from pg_database where datname = current_database())
having count(*) > 0
union all
select 'settings of the database and of roles in it', string_agg(distinct split_part(x, '=', 1), ', ' order by split_part(x, '=', 1))
from pg_db_role_setting r, unnest(r.setconfig) x
where r.setdatabase = (select oid from pg_database where datname = current_database())
having count(*) > 0
