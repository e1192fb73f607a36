-- Extensions; "members" names what belongs to one as ALTER EXTENSION ... ADD does (plpgsql's own are PostgreSQL's).
select e.oid::int8 as oid, e.extname as name, e.extversion as version, n.nspname as schema,
       e.extrelocatable as relocatable,
       coalesce((select array_agg(i.type || ' ' || replace(i.identity, 'pg_catalog.', '') order by i.type, i.identity)
                 from pg_depend d, pg_identify_object(d.classid, d.objid, 0) i
                 where d.refclassid = 'pg_extension'::regclass and d.refobjid = e.oid and d.deptype = 'e'
                   and d.objid >= 16384
                   -- From PostgreSQL 18 on a member's row type and array type are members too.
                   and not (d.classid = 'pg_type'::regclass and exists (
                       select from pg_type t where t.oid = d.objid and (
                           exists (select from pg_type s where s.typarray = t.oid)
                           or exists (select from pg_class c where c.oid = t.typrelid and c.relkind <> 'c'))))
                  ), '{}') as members
from pg_extension e join pg_namespace n on n.oid = e.extnamespace
