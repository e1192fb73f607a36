-- Functions, window functions, procedures; aggregates are told apart by kind.
select p.oid::int8 as oid, n.nspname as schema, p.proname as name, p.prokind as kind,
       oidvectortypes(p.proargtypes) as arguments,
       case when p.prokind <> 'a' then pg_get_functiondef(p.oid) else
           (select format('CREATE AGGREGATE %I.%I(%s) (', n.nspname, p.proname,
                   coalesce(nullif(pg_get_function_arguments(p.oid), ''), '*')) || concat_ws(', ',
                   'SFUNC = ' || a.aggtransfn::text, 'STYPE = ' || format_type(a.aggtranstype, null),
                   'SSPACE = ' || nullif(a.aggtransspace, 0),
                   'FINALFUNC = ' || nullif(a.aggfinalfn, 0)::regproc::text,
                   case when a.aggfinalextra then 'FINALFUNC_EXTRA' end,
                   case when a.aggfinalfn <> 0 and a.aggfinalmodify <> case a.aggkind when 'n' then 'r' else 'w' end then
                       'FINALFUNC_MODIFY = ' || (m.words->>a.aggfinalmodify::text) end,
                   'COMBINEFUNC = ' || nullif(a.aggcombinefn, 0)::regproc::text,
                   'SERIALFUNC = ' || nullif(a.aggserialfn, 0)::regproc::text,
                   'DESERIALFUNC = ' || nullif(a.aggdeserialfn, 0)::regproc::text,
                   'INITCOND = ' || quote_literal(a.agginitval),
                   'MSFUNC = ' || nullif(a.aggmtransfn, 0)::regproc::text,
                   'MINVFUNC = ' || nullif(a.aggminvtransfn, 0)::regproc::text,
                   'MSTYPE = ' || format_type(nullif(a.aggmtranstype, 0), null),
                   'MSSPACE = ' || nullif(a.aggmtransspace, 0),
                   'MFINALFUNC = ' || nullif(a.aggmfinalfn, 0)::regproc::text,
                   case when a.aggmfinalextra then 'MFINALFUNC_EXTRA' end,
                   case when a.aggmfinalfn <> 0 and a.aggmfinalmodify <> case a.aggkind when 'n' then 'r' else 'w' end then
                       'MFINALFUNC_MODIFY = ' || (m.words->>a.aggmfinalmodify::text) end,
                   'MINITCOND = ' || quote_literal(a.aggminitval),
                   'SORTOP = ' || (select format('OPERATOR(%I.%s)', sn.nspname, o.oprname) from pg_operator o
                       join pg_namespace sn on sn.oid = o.oprnamespace where o.oid = a.aggsortop),
                   case p.proparallel when 's' then 'PARALLEL = SAFE' when 'r' then 'PARALLEL = RESTRICTED' end,
                   case when a.aggkind = 'h' then 'HYPOTHETICAL' end) || ')'
            from pg_aggregate a, (select '{"r": "READ_ONLY", "s": "SHAREABLE", "w": "READ_WRITE"}'::jsonb as words) m
            where a.aggfnoid = p.oid) end as definition,
       coalesce(nullif(pg_get_function_identity_arguments(p.oid), ''), '*') as identity,
       jsonb_build_array(pg_get_function_result(p.oid), p.proargnames, p.proargmodes, p.pronargdefaults, p.prokind,
           case when p.prokind = 'p' then (select array_agg(format_type(x.type, null) order by x.n)
               from unnest(p.proallargtypes) with ordinality x (type, n)) end)::text
           as shape
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname !~ '^(pg_|preview_kept_)' and n.nspname not in ('information_schema', 'preview_internal')
  -- the constructors of a range type are the type's
  and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid
                  and d.refclassid = 'pg_type'::regclass and d.deptype = 'i')
