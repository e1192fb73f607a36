-- Access lists of PostgreSQL's own relations, columns and functions that somebody changed since it was set up, with what
-- they were then. Only a superuser can change them, so nobody else is told. A grantee is as in privileges.sql.
with me as (
    select oid from pg_roles where rolname = current_user and rolsuper
), found as (
    select 'pg_class'::regclass as class, c.oid, 'system relation' as kind, array[n.nspname, c.relname]::text[] as path,
           c.relacl as acl, coalesce(i.initprivs, acldefault(case c.relkind when 'S' then 's'::"char" else 'r' end, c.relowner))
               as initial
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    left join pg_init_privs i on i.classoid = 'pg_class'::regclass and i.objoid = c.oid and i.objsubid = 0
    where c.oid < 16384 and c.relacl is distinct from i.initprivs
    union all
    select 'pg_class'::regclass, c.oid, 'system column', array[n.nspname, c.relname, a.attname], a.attacl, i.initprivs
    from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
    left join pg_init_privs i on i.classoid = 'pg_class'::regclass and i.objoid = c.oid and i.objsubid = a.attnum
    where c.oid < 16384 and a.attacl is distinct from i.initprivs
    union all
    select 'pg_proc'::regclass, p.oid, 'system function', array[n.nspname, p.proname, oidvectortypes(p.proargtypes)], p.proacl,
           coalesce(i.initprivs, acldefault('f', p.proowner))
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    left join pg_init_privs i on i.classoid = 'pg_proc'::regclass and i.objoid = p.oid and i.objsubid = 0
    where p.oid < 16384 and p.proacl is distinct from i.initprivs
)
select f.kind, f.path, given.list as acl, then_.list as initial
from found f, me,
     lateral (select coalesce(jsonb_agg(jsonb_build_array(x.privilege_type, case x.grantee when 0 then 'PUBLIC' when me.oid then ''
                  else quote_ident(pg_get_userbyid(x.grantee)) end, x.is_grantable)), '[]') as list from aclexplode(f.acl) x) given,
     lateral (select coalesce(jsonb_agg(jsonb_build_array(x.privilege_type, case x.grantee when 0 then 'PUBLIC' when me.oid then ''
                  else quote_ident(pg_get_userbyid(x.grantee)) end)), '[]') as list from aclexplode(f.initial) x) then_
where not exists (select from pg_depend d where d.classid = f.class and d.objid = f.oid and d.deptype = 'e')
  and (f.acl is not null or f.kind = 'system column')
