-- Types with a name of their own: enums, domains, composites, ranges, base types.
select t.oid::int8 as oid, n.nspname as schema, t.typname as name, t.typtype as kind,
       t.typelem::int8 as element, t.typrelid::int8 as relation,
       coalesce((select array_agg(e.enumlabel order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid), '{}')
           as labels,
       case when t.typtype = 'd' then format_type(t.typbasetype, t.typtypmod) end as base, t.typnotnull as not_null,
       pg_get_expr(t.typdefaultbin, 'pg_type'::regclass) as "default",
       case when t.typtype = 'd' and t.typcollation <> (select typcollation from pg_type where oid = t.typbasetype) then
           (select quote_ident(cn.nspname) || '.' || quote_ident(co.collname)
            from pg_collation co join pg_namespace cn on cn.oid = co.collnamespace where co.oid = t.typcollation)
       end as collation,
       coalesce((select jsonb_agg(jsonb_build_array(k.oid::int8, k.conname, pg_get_constraintdef(k.oid), k.convalidated)
                        order by k.conname) from pg_constraint k where k.contypid = t.oid and k.contype = 'c'), '[]')
           as rules,
       (select m.typname from pg_range r join pg_type m on m.oid = r.rngmultitypid where r.rngtypid = t.oid) as multirange,
       case t.typtype
           when 'r' then (select concat_ws(', ', 'SUBTYPE = ' || format_type(r.rngsubtype, null),
                   'SUBTYPE_OPCLASS = ' || (select quote_ident(ns.nspname) || '.' || quote_ident(o.opcname)
                       from pg_opclass o join pg_namespace ns on ns.oid = o.opcnamespace where o.oid = r.rngsubopc),
                   'COLLATION = ' || (select quote_ident(ns.nspname) || '.' || quote_ident(co.collname)
                       from pg_collation co join pg_namespace ns on ns.oid = co.collnamespace
                       where co.oid = r.rngcollation and co.oid <> (select typcollation from pg_type where oid = r.rngsubtype)),
                   'CANONICAL = ' || nullif(r.rngcanonical, 0)::regproc::text,
                   'SUBTYPE_DIFF = ' || nullif(r.rngsubdiff, 0)::regproc::text,
                   'MULTIRANGE_TYPE_NAME = ' || (select quote_ident(ns.nspname) || '.' || quote_ident(m.typname)
                       from pg_type m join pg_namespace ns on ns.oid = m.typnamespace where m.oid = r.rngmultitypid))
               from pg_range r where r.rngtypid = t.oid)
           when 'b' then concat_ws(', ', 'INPUT = ' || t.typinput::text, 'OUTPUT = ' || t.typoutput::text,
               'RECEIVE = ' || nullif(t.typreceive::oid, 0)::regproc::text, 'SEND = ' || nullif(t.typsend::oid, 0)::regproc::text,
               'TYPMOD_IN = ' || nullif(t.typmodin::oid, 0)::regproc::text,
               'TYPMOD_OUT = ' || nullif(t.typmodout::oid, 0)::regproc::text,
               'ANALYZE = ' || nullif(t.typanalyze::oid, 0)::regproc::text,
               'SUBSCRIPT = ' || nullif(t.typsubscript::oid, 0)::regproc::text,
               'INTERNALLENGTH = ' || case t.typlen when -1 then 'VARIABLE' else t.typlen::text end,
               case when t.typbyval then 'PASSEDBYVALUE' end,
               'ALIGNMENT = ' || case t.typalign when 'c' then 'char' when 's' then 'int2' when 'i' then 'int4' else 'double' end,
               'STORAGE = ' || case t.typstorage when 'p' then 'plain' when 'e' then 'external' when 'm' then 'main'
                                                 else 'extended' end,
               'CATEGORY = ' || quote_literal(nullif(t.typcategory::text, 'U')), case when t.typispreferred then 'PREFERRED = true' end,
               'DEFAULT = ' || quote_literal(t.typdefault), 'ELEMENT = ' || format_type(nullif(t.typelem, 0), null),
               'DELIMITER = ' || quote_literal(nullif(t.typdelim::text, ',')),
               case when t.typcollation <> 0 then 'COLLATABLE = true' end)
           else ''
       end as definition
from pg_type t join pg_namespace n on n.oid = t.typnamespace
where n.nspname !~ '^(pg_|preview_kept_)' and n.nspname not in ('information_schema', 'preview_internal')
  -- neither row types of tables nor arrays: they come and go with their owner
  and (t.typrelid = 0 or exists (select from pg_class c where c.oid = t.typrelid and c.relkind = 'c'))
  and not (t.typelem <> 0 and t.typlen = -1 and t.oid in (select typarray from pg_type))
