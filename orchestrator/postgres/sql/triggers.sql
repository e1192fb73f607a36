-- Triggers that somebody created; of those that a partition has from the table above only what is its own: whether
-- it fires.
select t.oid::int8 as oid, t.tgrelid::int8 as relation, t.tgname as name, pg_get_triggerdef(t.oid) as definition,
       case t.tgenabled when 'O' then 'ENABLE' when 'D' then 'DISABLE' when 'R' then 'ENABLE REPLICA'
                        else 'ENABLE ALWAYS' end as enabled, t.tgparentid <> 0 as cloned
from pg_trigger t
left join pg_trigger up on up.oid = t.tgparentid
where not t.tgisinternal and t.tgenabled is distinct from up.tgenabled
-- parts of a foreign table are written down in this order
order by t.tgrelid, t.tgname
