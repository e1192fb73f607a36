-- Grants on views, functions and types, for giving them back when one must be rebuilt.
select 'pg_class'::regclass::oid::int8 as class, c.oid::int8 as oid, x.privilege_type as privilege,
       case x.grantee when 0 then 'PUBLIC' else quote_ident(pg_get_userbyid(x.grantee)) end as grantee,
       x.is_grantable as grantable
from pg_class c, aclexplode(c.relacl) x
where c.relkind in ('v', 'm') and x.grantee <> c.relowner
union all
select 'pg_proc'::regclass::oid::int8, p.oid::int8, x.privilege_type,
       case x.grantee when 0 then 'PUBLIC' else quote_ident(pg_get_userbyid(x.grantee)) end, x.is_grantable
from pg_proc p, aclexplode(p.proacl) x
where p.oid >= 16384 and x.grantee <> p.proowner
union all
select 'pg_type'::regclass::oid::int8, t.oid::int8, x.privilege_type,
       case x.grantee when 0 then 'PUBLIC' else quote_ident(pg_get_userbyid(x.grantee)) end, x.is_grantable
from pg_type t, aclexplode(t.typacl) x
where t.oid >= 16384 and x.grantee <> t.typowner
order by 1, 2, 4, 3
