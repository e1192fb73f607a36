-- Functions, window functions, procedures; aggregates are told apart by kind.
select p.oid::int8 as oid, n.nspname as schema, p.proname as name, p.prokind as kind,
       oidvectortypes(p.proargtypes) as arguments,
       case when p.prokind <> 'a' then pg_get_functiondef(p.oid) else
           (select jsonb_build_array(a.aggkind, a.aggtransfn::text, a.aggfinalfn::text, a.aggcombinefn::text,
                   format_type(a.aggtranstype, null), a.agginitval, a.aggsortop::regoperator::text, a.aggfinalextra,
                   a.aggmtransfn::text, a.aggminvtransfn::text, a.aggminitval, p.proparallel)::text
            from pg_aggregate a where a.aggfnoid = p.oid) end as definition,
       jsonb_build_array(pg_get_function_result(p.oid), p.proargnames, p.proargmodes, p.pronargdefaults, p.prokind)::text
           as shape,
       pg_get_userbyid(p.proowner) as owner, p.proacl is not null as granted
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'preview_internal')
  -- the constructors of a range type are the type's
  and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid
                  and d.refclassid = 'pg_type'::regclass and d.deptype = 'i')
