-- Extensions; "members" names what belongs to one as ALTER EXTENSION ... ADD does (plpgsql's own are PostgreSQL's).
select e.oid::int8 as oid, e.extname as name, e.extversion as version, n.nspname as schema,
       e.extrelocatable as relocatable,
       coalesce((select array_agg(i.type || ' ' || replace(i.identity, 'pg_catalog.', '') order by i.type, i.identity)
                 from pg_depend d, pg_identify_object(d.classid, d.objid, 0) i
                 where d.refclassid = 'pg_extension'::regclass and d.refobjid = e.oid and d.deptype = 'e'
                   and d.objid >= 16384), '{}') as members
from pg_extension e join pg_namespace n on n.oid = e.extnamespace
