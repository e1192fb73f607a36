-- Triggers that somebody created.
select t.oid::int8 as oid, t.tgrelid::int8 as relation, t.tgname as name, pg_get_triggerdef(t.oid) as definition,
       case t.tgenabled when 'O' then 'ENABLE' when 'D' then 'DISABLE' when 'R' then 'ENABLE REPLICA'
                        else 'ENABLE ALWAYS' end as enabled
from pg_trigger t
where not t.tgisinternal
