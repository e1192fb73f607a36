-- Operators, their families and classes, casts, conversions, access methods: each as the statement that makes it.
-- "parts" can be changed in place; "also" are rows of other catalogues that are a part of the object.
with users as (
    select oid, nspname from pg_namespace
    where nspname !~ '^(pg_|preview_kept_)' and nspname not in ('information_schema', 'preview_internal')
),
ops as (
    select o.oid, format('OPERATOR(%I.%s)', n.nspname, o.oprname) as said,
           format('%I.%s (%s, %s)', n.nspname, o.oprname, coalesce(format_type(nullif(o.oprleft, 0), null), 'NONE'),
                  format_type(o.oprright, null)) as signed,
           format('%I.%s', n.nspname, o.oprname) as named
    from pg_operator o join pg_namespace n on n.oid = o.oprnamespace
),
amop as (
    select o.oid, o.amopfamily as family, format('OPERATOR %s %s%s', o.amopstrategy,
               replace(p.signed, ' (NONE, ', ' ('),
               case when o.amoppurpose = 'o' then ' FOR ORDER BY ' ||
                   (select format('%I.%I', n.nspname, s.opfname) from pg_opfamily s
                    join pg_namespace n on n.oid = s.opfnamespace where s.oid = o.amopsortfamily) else '' end) as said,
           format('OPERATOR %s (%s, %s)', o.amopstrategy, format_type(o.amoplefttype, null),
                  format_type(o.amoprighttype, null)) as place,
           format('1 %s %s %s', lpad(o.amopstrategy::text, 3, '0'), o.amoplefttype::regtype, o.amoprighttype::regtype) as rank,
           'pg_amop'::regclass as class
    from pg_amop o join ops p on p.oid = o.amopopr where o.oid >= 16384
    union all
    select q.oid, q.amprocfamily, format('FUNCTION %s (%s, %s) %s', q.amprocnum, format_type(q.amproclefttype, null),
               format_type(q.amprocrighttype, null), q.amproc::regprocedure::text),
           format('FUNCTION %s (%s, %s)', q.amprocnum, format_type(q.amproclefttype, null),
                  format_type(q.amprocrighttype, null)),
           format('2 %s %s %s', lpad(q.amprocnum::text, 3, '0'), q.amproclefttype::regtype, q.amprocrighttype::regtype),
           'pg_amproc'::regclass
    from pg_amproc q where q.oid >= 16384
),
member as (
    select a.*, coalesce((select d.refobjid from pg_depend d where d.classid = a.class and d.objid = a.oid
                          and d.refclassid = 'pg_opclass'::regclass and d.deptype = 'i'), 0) as opclass
    from amop a
)
select 'pg_operator'::regclass::oid::int8 as class, o.oid::int8 as oid, 'operator' as kind, 'OPERATOR' as noun,
       array[n.nspname, o.oprname, coalesce(format_type(nullif(o.oprleft, 0), null), 'NONE'), format_type(o.oprright, null)]
           as path, p.signed as subject,
       format('CREATE OPERATOR %s (%s)', p.named, concat_ws(', ',
           'FUNCTION = ' || o.oprcode::text, 'LEFTARG = ' || format_type(nullif(o.oprleft, 0), null),
           'RIGHTARG = ' || format_type(o.oprright, null),
           'COMMUTATOR = ' || (select said from ops where ops.oid = o.oprcom),
           'NEGATOR = ' || (select said from ops where ops.oid = o.oprnegate),
           case when o.oprcanhash then 'HASHES' end, case when o.oprcanmerge then 'MERGES' end)) as "create",
       '' as whole,
       (select coalesce(jsonb_agg(jsonb_build_array(x.name, a.said || x.f || ')', a.said || x.f || ')', a.said || 'NONE)')
               order by x.name), '[]')
        from (values ('RESTRICT', nullif(o.oprrest, 0)::regproc::text), ('JOIN', nullif(o.oprjoin, 0)::regproc::text)) x (name, f),
             lateral (select format('ALTER OPERATOR %s SET (%s = ', p.signed, x.name) as said) a where x.f is not null) as parts,
       '[]'::jsonb as also, 0::int8 as of_relation, '' as drop
from pg_operator o join users n on n.oid = o.oprnamespace join ops p on p.oid = o.oid
where o.oprcode <> 0  -- others are only announced, as somebody's commutator or negator
union all
select 'pg_opfamily'::regclass::oid::int8, f.oid::int8, 'operator family', 'OPERATOR FAMILY', array[n.nspname, f.opfname, a.amname],
       s.said, 'CREATE OPERATOR FAMILY ' || s.said, '',
       (select coalesce(jsonb_agg(jsonb_build_array(m.place, format('ALTER OPERATOR FAMILY %s ADD %s', s.said, m.said), '',
               format('ALTER OPERATOR FAMILY %s DROP %s', s.said, m.place)) order by m.rank), '[]')
        from member m where m.family = f.oid and m.opclass = 0),
       (select coalesce(jsonb_agg(jsonb_build_array(m.class::oid::int8, m.oid::int8)), '[]')
        from member m where m.family = f.oid and m.opclass = 0), 0, ''
from pg_opfamily f join users n on n.oid = f.opfnamespace join pg_am a on a.oid = f.opfmethod,
     lateral (select format('%I.%I USING %I', n.nspname, f.opfname, a.amname) as said) s
union all
-- what a user adds to one of PostgreSQL's own families
select m.class::oid::int8, m.oid::int8, 'operator family member', 'OPERATOR FAMILY',
       array[n.nspname, f.opfname, a.amname, m.place], s.said, format('ALTER OPERATOR FAMILY %s ADD %s', s.said, m.said), '',
       '[]', '[]', 0, format('ALTER OPERATOR FAMILY %s DROP %s', s.said, m.place)
from member m join pg_opfamily f on f.oid = m.family join pg_namespace n on n.oid = f.opfnamespace
join pg_am a on a.oid = f.opfmethod,
     lateral (select format('%I.%I USING %I', n.nspname, f.opfname, a.amname) as said) s
where m.opclass = 0 and f.oid < 16384
  -- what an extension adds comes and goes with its operators and functions
  and not exists (select from pg_depend d join pg_depend e on e.classid = d.refclassid and e.objid = d.refobjid
                  where d.classid = m.class and d.objid = m.oid and e.deptype = 'e')
union all
select 'pg_opclass'::regclass::oid::int8, o.oid::int8, 'operator class', 'OPERATOR CLASS', array[n.nspname, o.opcname, a.amname],
       format('%I.%I USING %I', n.nspname, o.opcname, a.amname),
       format('CREATE OPERATOR CLASS %I.%I %sFOR TYPE %s USING %I FAMILY %I.%I AS %s', n.nspname, o.opcname,
           case when o.opcdefault then 'DEFAULT ' else '' end, format_type(o.opcintype, null), a.amname, fn.nspname, f.opfname,
           concat_ws(', ', (select string_agg(m.said, ', ' order by m.rank) from member m where m.opclass = o.oid),
               'STORAGE ' || coalesce(format_type(nullif(o.opckeytype, 0), null), case when not exists (
                   select from member m where m.opclass = o.oid) then format_type(o.opcintype, null) end))), '', '[]',
       (select coalesce(jsonb_agg(jsonb_build_array(m.class::oid::int8, m.oid::int8)), '[]')
        from member m where m.opclass = o.oid), 0, ''
from pg_opclass o join users n on n.oid = o.opcnamespace join pg_am a on a.oid = o.opcmethod
join pg_opfamily f on f.oid = o.opcfamily join pg_namespace fn on fn.oid = f.opfnamespace
union all
select 'pg_cast'::regclass::oid::int8, k.oid::int8, 'cast', 'CAST', array[s.source, s.target],
       format('(%s AS %s)', s.source, s.target),
       format('CREATE CAST (%s AS %s) %s%s', s.source, s.target,
           case k.castmethod when 'f' then 'WITH FUNCTION ' || k.castfunc::regprocedure::text
                             when 'i' then 'WITH INOUT' else 'WITHOUT FUNCTION' end,
           case k.castcontext when 'a' then ' AS ASSIGNMENT' when 'i' then ' AS IMPLICIT' else '' end), '', '[]', '[]', 0, ''
from pg_cast k, lateral (select format_type(k.castsource, null) as source, format_type(k.casttarget, null) as target) s
where k.oid >= 16384
  -- the cast from a range to its multirange is the type's
  and not exists (select from pg_depend d where d.classid = 'pg_cast'::regclass and d.objid = k.oid
                  and d.refclassid = 'pg_type'::regclass and d.deptype = 'i')
union all
select 'pg_conversion'::regclass::oid::int8, v.oid::int8, 'conversion', 'CONVERSION', array[n.nspname, v.conname],
       format('%I.%I', n.nspname, v.conname),
       format('CREATE %sCONVERSION %I.%I FOR %L TO %L FROM %s', case when v.condefault then 'DEFAULT ' else '' end, n.nspname,
           v.conname, pg_encoding_to_char(v.conforencoding), pg_encoding_to_char(v.contoencoding), v.conproc::text),
       '', '[]', '[]', 0, ''
from pg_conversion v join users n on n.oid = v.connamespace
union all
select 'pg_am'::regclass::oid::int8, a.oid::int8, 'access method', 'ACCESS METHOD', array[a.amname], quote_ident(a.amname),
       format('CREATE ACCESS METHOD %I TYPE %s HANDLER %s', a.amname,
           case a.amtype when 'i' then 'INDEX' else 'TABLE' end, a.amhandler::text), '', '[]', '[]', 0, ''
from pg_am a where a.oid >= 16384
