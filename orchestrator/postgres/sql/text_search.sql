-- Text search, collations, event triggers, languages, transforms: each as the statement that makes it.
-- "parts" can be changed in place: name, and the statements that add, change and take away.
with users as (
    select oid, nspname from pg_namespace
    where nspname !~ '^(pg_|preview_kept_)' and nspname not in ('information_schema', 'preview_internal')
)
select 'pg_ts_config'::regclass::oid::int8 as class, t.oid::int8 as oid, 'text search configuration' as kind,
       'TEXT SEARCH CONFIGURATION' as noun, array[n.nspname, t.cfgname] as path,
       format('%I.%I', n.nspname, t.cfgname) as subject,
       format('CREATE TEXT SEARCH CONFIGURATION %I.%I (PARSER = %I.%I)', n.nspname, t.cfgname, pn.nspname, p.prsname) as "create",
       '' as whole,
       (select coalesce(jsonb_agg(jsonb_build_array(m.token,
               a.said || format('ADD MAPPING FOR %I WITH %s', m.token, m.dictionaries),
               a.said || format('ALTER MAPPING FOR %I WITH %s', m.token, m.dictionaries),
               a.said || format('DROP MAPPING FOR %I', m.token)) order by m.number), '[]')
        from (select y.tokid as number, y.alias as token,
                  string_agg(x.mapdict::regdictionary::text, ', ' order by x.mapseqno) as dictionaries
              from pg_ts_config_map x, ts_token_type(t.cfgparser) y
              where x.mapcfg = t.oid and y.tokid = x.maptokentype group by y.tokid, y.alias) m,
             (select format('ALTER TEXT SEARCH CONFIGURATION %I.%I ', n.nspname, t.cfgname) as said) a) as parts,
       '[]'::jsonb as also, 0::int8 as of_relation
from pg_ts_config t join users n on n.oid = t.cfgnamespace join pg_ts_parser p on p.oid = t.cfgparser
join pg_namespace pn on pn.oid = p.prsnamespace
union all
select 'pg_ts_dict'::regclass::oid::int8, t.oid::int8, 'text search dictionary', 'TEXT SEARCH DICTIONARY',
       array[n.nspname, t.dictname], s.said,
       format('CREATE TEXT SEARCH DICTIONARY %s (TEMPLATE = %I.%I)', s.said, mn.nspname, m.tmplname),
       format('CREATE TEXT SEARCH DICTIONARY %s (%s)', s.said,
           concat_ws(', ', format('TEMPLATE = %I.%I', mn.nspname, m.tmplname), t.dictinitoption)),
       (select coalesce(jsonb_agg(jsonb_build_array(o.found[1],
               format('ALTER TEXT SEARCH DICTIONARY %s (%s = %s)', s.said, o.found[1], o.found[2]),
               format('ALTER TEXT SEARCH DICTIONARY %s (%s = %s)', s.said, o.found[1], o.found[2]),
               format('ALTER TEXT SEARCH DICTIONARY %s (%s)', s.said, o.found[1])) order by o.found[1]), '[]')
        from regexp_matches(t.dictinitoption,
            '("(?:[^"]|"")*"|[^\s,=]+) = ( ?E?''(?:[^''\\]|''''|\\.)*''|[^,]+)', 'g') o (found)), '[]', 0
from pg_ts_dict t join users n on n.oid = t.dictnamespace join pg_ts_template m on m.oid = t.dicttemplate
join pg_namespace mn on mn.oid = m.tmplnamespace, lateral (select format('%I.%I', n.nspname, t.dictname) as said) s
union all
select 'pg_ts_parser'::regclass::oid::int8, t.oid::int8, 'text search parser', 'TEXT SEARCH PARSER', array[n.nspname, t.prsname],
       format('%I.%I', n.nspname, t.prsname),
       format('CREATE TEXT SEARCH PARSER %I.%I (%s)', n.nspname, t.prsname, concat_ws(', ', 'START = ' || t.prsstart::text,
           'GETTOKEN = ' || t.prstoken::text, 'END = ' || t.prsend::text, 'LEXTYPES = ' || t.prslextype::text,
           'HEADLINE = ' || nullif(t.prsheadline, 0)::regproc::text)), '', '[]', '[]', 0
from pg_ts_parser t join users n on n.oid = t.prsnamespace
union all
select 'pg_ts_template'::regclass::oid::int8, t.oid::int8, 'text search template', 'TEXT SEARCH TEMPLATE',
       array[n.nspname, t.tmplname], format('%I.%I', n.nspname, t.tmplname),
       format('CREATE TEXT SEARCH TEMPLATE %I.%I (%s)', n.nspname, t.tmplname,
           concat_ws(', ', 'INIT = ' || nullif(t.tmplinit, 0)::regproc::text, 'LEXIZE = ' || t.tmpllexize::text)), '', '[]', '[]', 0
from pg_ts_template t join users n on n.oid = t.tmplnamespace
union all
-- to_jsonb: the locale's column has another name in every other release
select 'pg_collation'::regclass::oid::int8, k.oid::int8, 'collation', 'COLLATION', array[n.nspname, k.collname],
       format('%I.%I', n.nspname, k.collname),
       format('CREATE COLLATION %I.%I (%s)', n.nspname, k.collname, concat_ws(', ',
           'PROVIDER = ' || case k.collprovider when 'i' then 'icu' when 'c' then 'libc' when 'b' then 'builtin' else 'default' end,
           'LOCALE = ' || quote_literal(coalesce(j.said->>'colllocale', j.said->>'colliculocale')),
           'LC_COLLATE = ' || quote_literal(k.collcollate), 'LC_CTYPE = ' || quote_literal(k.collctype),
           'RULES = ' || quote_literal(j.said->>'collicurules'),
           case when not k.collisdeterministic then 'DETERMINISTIC = false' end)), '', '[]', '[]', 0
from pg_collation k join users n on n.oid = k.collnamespace, lateral (select to_jsonb(k) as said) j
union all
select 'pg_event_trigger'::regclass::oid::int8, t.oid::int8, 'event trigger', 'EVENT TRIGGER', array[t.evtname], quote_ident(t.evtname),
       format('CREATE EVENT TRIGGER %I ON %s%s EXECUTE FUNCTION %s', t.evtname, t.evtevent,
           ' WHEN TAG IN (' || (select string_agg(quote_literal(g), ', ' order by g) from unnest(t.evttags) g) || ')',
           t.evtfoid::regprocedure::text), '',
       case t.evtenabled when 'O' then '[]' else (select jsonb_build_array(jsonb_build_array('state', s.said, s.said,
           format('ALTER EVENT TRIGGER %I ENABLE', t.evtname)))
           from (select format('ALTER EVENT TRIGGER %I %s', t.evtname, case t.evtenabled when 'D' then 'DISABLE'
               when 'R' then 'ENABLE REPLICA' else 'ENABLE ALWAYS' end) as said) s) end, '[]', 0
from pg_event_trigger t
union all
select 'pg_language'::regclass::oid::int8, l.oid::int8, 'language', 'LANGUAGE', array[l.lanname], quote_ident(l.lanname),
       format('CREATE %sLANGUAGE %I HANDLER %s%s%s', case when l.lanpltrusted then 'TRUSTED ' else '' end, l.lanname,
           l.lanplcallfoid::regproc::text, ' INLINE ' || nullif(l.laninline, 0)::regproc::text,
           ' VALIDATOR ' || nullif(l.lanvalidator, 0)::regproc::text), '', '[]', '[]', 0
from pg_language l where l.lanispl and l.oid >= 16384
union all
select 'pg_transform'::regclass::oid::int8, t.oid::int8, 'transform', 'TRANSFORM', array[s.type, l.lanname],
       format('FOR %s LANGUAGE %I', s.type, l.lanname),
       format('CREATE TRANSFORM FOR %s LANGUAGE %I (%s)', s.type, l.lanname, concat_ws(', ',
           'FROM SQL WITH FUNCTION ' || nullif(t.trffromsql, 0)::regprocedure::text,
           'TO SQL WITH FUNCTION ' || nullif(t.trftosql, 0)::regprocedure::text)), '', '[]', '[]', 0
from pg_transform t join pg_language l on l.oid = t.trflang, lateral (select format_type(t.trftype, null) as type) s
