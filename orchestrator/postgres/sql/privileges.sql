-- Owners that are not the role that asks, and access lists that are set; who is neither has PostgreSQL's defaults.
-- "type" is acldefault()'s; a grantee is PUBLIC, a role, empty for the owner, or CURRENT_USER for the role that asks.
with users as (
    select oid, nspname from pg_namespace
    where nspname !~ '^(pg_|preview_kept_)' and nspname not in ('information_schema', 'preview_internal')
), me as (
    select oid from pg_roles where rolname = current_user
), found as (
    select 'pg_class'::regclass::oid as class, c.oid, 0 as sub, '' as name, c.relowner as owner, c.relacl as acl,
           case c.relkind when 'S' then 's' else 'r' end as type
    from pg_class c join users on users.oid = c.relnamespace where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
    union all
    select 'pg_class'::regclass, a.attrelid, a.attnum, a.attname, c.relowner, a.attacl, 'c'
    from pg_attribute a join pg_class c on c.oid = a.attrelid join users on users.oid = c.relnamespace
    where a.attacl is not null and a.attnum > 0 and not a.attisdropped
    union all
    select 'pg_proc'::regclass, p.oid, 0, '', p.proowner, p.proacl, 'f'
    from pg_proc p join users on users.oid = p.pronamespace
    union all
    select 'pg_type'::regclass, t.oid, 0, '', t.typowner, t.typacl, 'T'
    from pg_type t join users on users.oid = t.typnamespace
    where t.typtype in ('b', 'e', 'd', 'r', 'c') and not (t.typelem <> 0 and t.typlen = -1)
      and (t.typrelid = 0 or exists (select from pg_class c where c.oid = t.typrelid and c.relkind = 'c'))
    union all
    select 'pg_namespace'::regclass, n.oid, 0, '', n.nspowner, n.nspacl, 'n' from pg_namespace n join users using (oid)
    union all
    select 'pg_language'::regclass, l.oid, 0, l.lanname, l.lanowner, l.lanacl, 'l' from pg_language l
    where l.oid >= 16384 or l.lanacl is not null
    union all
    select 'pg_foreign_data_wrapper'::regclass, w.oid, 0, '', w.fdwowner, w.fdwacl, 'F' from pg_foreign_data_wrapper w
    union all
    select 'pg_foreign_server'::regclass, s.oid, 0, '', s.srvowner, s.srvacl, 'S' from pg_foreign_server s
    union all
    select 'pg_collation'::regclass, k.oid, 0, '', k.collowner, null, '' from pg_collation k where k.oid >= 16384
    union all
    select 'pg_conversion'::regclass, k.oid, 0, '', k.conowner, null, '' from pg_conversion k where k.oid >= 16384
    union all
    select 'pg_operator'::regclass, o.oid, 0, '', o.oprowner, null, '' from pg_operator o where o.oid >= 16384
    union all
    select 'pg_opclass'::regclass, o.oid, 0, '', o.opcowner, null, '' from pg_opclass o where o.oid >= 16384
    union all
    select 'pg_opfamily'::regclass, o.oid, 0, '', o.opfowner, null, '' from pg_opfamily o where o.oid >= 16384
    union all
    select 'pg_ts_config'::regclass, t.oid, 0, '', t.cfgowner, null, '' from pg_ts_config t where t.oid >= 16384
    union all
    select 'pg_ts_dict'::regclass, t.oid, 0, '', t.dictowner, null, '' from pg_ts_dict t where t.oid >= 16384
    union all
    select 'pg_statistic_ext'::regclass, s.oid, 0, '', s.stxowner, null, '' from pg_statistic_ext s
    union all
    select 'pg_event_trigger'::regclass, t.oid, 0, '', t.evtowner, null, '' from pg_event_trigger t
    union all
    select 'pg_publication'::regclass, p.oid, 0, '', p.pubowner, null, '' from pg_publication p
    union all
    -- those of other roles can only be seen to by members of these roles
    select 'pg_default_acl'::regclass, d.oid, 0, coalesce(n.nspname, ''), d.defaclrole, d.defaclacl, d.defaclobjtype::text
    from pg_default_acl d left join pg_namespace n on n.oid = d.defaclnamespace
    where pg_has_role(d.defaclrole, 'USAGE')
)
select f.class::int8 as class, f.oid::int8 as oid, f.sub, f.name, f.type,
       case when f.owner = me.oid then '' else quote_ident(pg_get_userbyid(f.owner)) end as owner,
       case when f.acl is not null then coalesce((
           select jsonb_agg(jsonb_build_array(x.privilege_type,
               case x.grantee when 0 then 'PUBLIC' when f.owner then '' when me.oid then 'CURRENT_USER'
                              else quote_ident(pg_get_userbyid(x.grantee)) end, x.is_grantable))
           from aclexplode(f.acl) x), '[]') end as acl
from found f, me
where f.owner <> me.oid or f.acl is not null
