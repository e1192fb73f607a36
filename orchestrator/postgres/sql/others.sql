-- Every other kind: looked at, compared, refused by name when it differs. "definition" holds no oid.
-- "of_*" is the relation that it goes with when that is dropped.
with users as (
    select oid, nspname from pg_namespace
    where nspname !~ '^pg_' and nspname not in ('information_schema', 'preview_internal')
)
select 'pg_collation'::regclass::oid::int8 as class, k.oid::int8 as oid, 'collation' as kind, array[n.nspname, k.collname] as path,
       (to_jsonb(k) - array['oid', 'collnamespace', 'collowner', 'collversion'])::text as definition, 0 as of_relation
from pg_collation k join users n on n.oid = k.collnamespace
union all
select 'pg_operator'::regclass::oid::int8, o.oid::int8, 'operator',
       array[n.nspname, o.oprname, format_type(o.oprleft, null), format_type(o.oprright, null)],
       jsonb_build_array(o.oprcode::text, o.oprrest::text, o.oprjoin::text, o.oprcanmerge, o.oprcanhash,
           o.oprcom::regoperator::text, o.oprnegate::regoperator::text)::text, 0
from pg_operator o join users n on n.oid = o.oprnamespace
union all
select 'pg_cast'::regclass::oid::int8, k.oid::int8, 'cast',
       array[format_type(k.castsource, null), format_type(k.casttarget, null)],
       jsonb_build_array(k.castfunc::regprocedure::text, k.castcontext, k.castmethod)::text, 0
from pg_cast k where k.oid >= 16384
  and not exists (select from pg_depend d where d.classid = 'pg_cast'::regclass and d.objid = k.oid
                  and d.refclassid = 'pg_type'::regclass and d.deptype = 'i')
union all
select 'pg_opclass'::regclass::oid::int8, o.oid::int8, 'operator class', array[n.nspname, o.opcname, a.amname],
       jsonb_build_array(format_type(o.opcintype, null), o.opcdefault, format_type(o.opckeytype, null),
           (select opfname from pg_opfamily where oid = o.opcfamily))::text, 0
from pg_opclass o join users n on n.oid = o.opcnamespace join pg_am a on a.oid = o.opcmethod
union all
select 'pg_opfamily'::regclass::oid::int8, f.oid::int8, 'operator family', array[n.nspname, f.opfname, a.amname],
       jsonb_build_array(
           (select jsonb_agg(jsonb_build_array(o.amopstrategy, o.amopopr::regoperator::text, o.amoppurpose)
                   order by o.amopstrategy, o.amopopr::regoperator::text) from pg_amop o where o.amopfamily = f.oid),
           (select jsonb_agg(jsonb_build_array(q.amprocnum, q.amproc::text) order by q.amprocnum, q.amproc::text)
            from pg_amproc q where q.amprocfamily = f.oid))::text, 0
from pg_opfamily f join users n on n.oid = f.opfnamespace join pg_am a on a.oid = f.opfmethod
union all
select 'pg_conversion'::regclass::oid::int8, v.oid::int8, 'conversion', array[n.nspname, v.conname],
       jsonb_build_array(v.conforencoding, v.contoencoding, v.conproc::text, v.condefault)::text, 0
from pg_conversion v join users n on n.oid = v.connamespace
union all
select 'pg_ts_config'::regclass::oid::int8, t.oid::int8, 'text search configuration', array[n.nspname, t.cfgname],
       jsonb_build_array(p.prsname, (select jsonb_agg(jsonb_build_array(m.maptokentype, m.mapseqno,
           m.mapdict::regdictionary::text) order by m.maptokentype, m.mapseqno)
           from pg_ts_config_map m where m.mapcfg = t.oid))::text, 0
from pg_ts_config t join users n on n.oid = t.cfgnamespace join pg_ts_parser p on p.oid = t.cfgparser
union all
select 'pg_ts_dict'::regclass::oid::int8, t.oid::int8, 'text search dictionary', array[n.nspname, t.dictname],
       jsonb_build_array(m.tmplname, t.dictinitoption)::text, 0
from pg_ts_dict t join users n on n.oid = t.dictnamespace join pg_ts_template m on m.oid = t.dicttemplate
union all
select 'pg_ts_parser'::regclass::oid::int8, t.oid::int8, 'text search parser', array[n.nspname, t.prsname],
       jsonb_build_array(t.prsstart::text, t.prstoken::text, t.prsend::text, t.prsheadline::text)::text, 0
from pg_ts_parser t join users n on n.oid = t.prsnamespace
union all
select 'pg_ts_template'::regclass::oid::int8, t.oid::int8, 'text search template', array[n.nspname, t.tmplname],
       jsonb_build_array(t.tmplinit::text, t.tmpllexize::text)::text, 0
from pg_ts_template t join users n on n.oid = t.tmplnamespace
union all
select 'pg_event_trigger'::regclass::oid::int8, t.oid::int8, 'event trigger', array[t.evtname],
       jsonb_build_array(t.evtevent, t.evtfoid::regprocedure::text, t.evtenabled, t.evttags)::text, 0
from pg_event_trigger t
union all
select 'pg_foreign_data_wrapper'::regclass::oid::int8, w.oid::int8, 'foreign-data wrapper', array[w.fdwname],
       jsonb_build_array(w.fdwhandler::regproc::text, w.fdwvalidator::regproc::text, w.fdwoptions)::text, 0
from pg_foreign_data_wrapper w
union all
select 'pg_foreign_server'::regclass::oid::int8, s.oid::int8, 'server', array[s.srvname],
       jsonb_build_array(w.fdwname, s.srvtype, s.srvversion, s.srvoptions)::text, 0
from pg_foreign_server s join pg_foreign_data_wrapper w on w.oid = s.srvfdw
union all
select 'pg_user_mapping'::regclass::oid::int8, u.umid::int8, 'user mapping', array[u.srvname, u.usename],
       coalesce(u.umoptions::text, ''), 0
from pg_user_mappings u
union all
select 'pg_foreign_table'::regclass::oid::int8, f.ftrelid::int8, 'foreign table options', array[n.nspname, c.relname],
       jsonb_build_array(s.srvname, f.ftoptions)::text, c.oid::int8
from pg_foreign_table f join pg_class c on c.oid = f.ftrelid join users n on n.oid = c.relnamespace
join pg_foreign_server s on s.oid = f.ftserver
union all
select 'pg_publication'::regclass::oid::int8, p.oid::int8, 'publication', array[p.pubname],
       (to_jsonb(p) - array['oid', 'pubowner'])::text ||
       coalesce((select jsonb_agg(jsonb_build_array(r.prrelid::regclass::text, pg_get_expr(r.prqual, r.prrelid),
               (select array_agg(a.attname order by a.attname) from pg_attribute a
                where a.attrelid = r.prrelid and a.attnum = any (r.prattrs::int2[])))
           order by r.prrelid::regclass::text) from pg_publication_rel r where r.prpubid = p.oid)::text, '') ||
       coalesce((select jsonb_agg(sn.nspname order by sn.nspname) from pg_publication_namespace q
           join pg_namespace sn on sn.oid = q.pnnspid where q.pnpubid = p.oid)::text, ''), 0
from pg_publication p
union all
select 'pg_language'::regclass::oid::int8, l.oid::int8, 'language', array[l.lanname],
       jsonb_build_array(l.lanplcallfoid::regproc::text, l.lanpltrusted)::text, 0
from pg_language l where l.lanname not in ('internal', 'c', 'sql')
union all
select 'pg_am'::regclass::oid::int8, a.oid::int8, 'access method', array[a.amname],
       jsonb_build_array(a.amhandler::text, a.amtype)::text, 0
from pg_am a where a.oid >= 16384
union all
select 'pg_transform'::regclass::oid::int8, t.oid::int8, 'transform',
       array[format_type(t.trftype, null), (select lanname from pg_language where oid = t.trflang)],
       jsonb_build_array(t.trffromsql::text, t.trftosql::text)::text, 0
from pg_transform t
union all
select 'pg_seclabel'::regclass::oid::int8, 0, 'security label', array[l.provider, l.objtype, l.objname], l.label, 0
from pg_seclabels l
