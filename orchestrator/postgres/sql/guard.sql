-- Rows that a user made, of every catalogue whose rows are not all read by another query.
-- What none of these queries made an object of is named, never silently equal.
select g.class::oid::int8 as class, g.oid::int8 as oid, i.type as kind, i.identity
from (
    select 'pg_am'::regclass as class, oid from pg_am
    union all select 'pg_amop'::regclass, oid from pg_amop
    union all select 'pg_amproc'::regclass, oid from pg_amproc
    union all select 'pg_cast'::regclass, oid from pg_cast
    union all select 'pg_collation'::regclass, oid from pg_collation
    union all select 'pg_conversion'::regclass, oid from pg_conversion
    union all select 'pg_event_trigger'::regclass, oid from pg_event_trigger
    union all select 'pg_extension'::regclass, oid from pg_extension
    union all select 'pg_foreign_data_wrapper'::regclass, oid from pg_foreign_data_wrapper
    union all select 'pg_foreign_server'::regclass, oid from pg_foreign_server
    union all select 'pg_language'::regclass, oid from pg_language
    union all select 'pg_opclass'::regclass, oid from pg_opclass
    -- others are only announced, as somebody's commutator or negator
    union all select 'pg_operator'::regclass, oid from pg_operator where oprcode <> 0
    union all select 'pg_opfamily'::regclass, oid from pg_opfamily
    union all select 'pg_policy'::regclass, oid from pg_policy
    union all select 'pg_publication'::regclass, oid from pg_publication
    union all select 'pg_publication_namespace'::regclass, oid from pg_publication_namespace
    union all select 'pg_publication_rel'::regclass, oid from pg_publication_rel
    union all select 'pg_rewrite'::regclass, oid from pg_rewrite where rulename <> '_RETURN'
    union all select 'pg_statistic_ext'::regclass, oid from pg_statistic_ext
    union all select 'pg_transform'::regclass, oid from pg_transform
    union all select 'pg_trigger'::regclass, oid from pg_trigger
        where not tgisinternal and tgparentid = 0 and tgname !~ '^~?preview_tmp_'
    union all select 'pg_ts_config'::regclass, oid from pg_ts_config
    union all select 'pg_ts_dict'::regclass, oid from pg_ts_dict
    union all select 'pg_ts_parser'::regclass, oid from pg_ts_parser
    union all select 'pg_ts_template'::regclass, oid from pg_ts_template
    union all select 'pg_user_mapping'::regclass, umid from pg_user_mappings
    -- of the large catalogues only what their own queries pass by: other kinds, and a user's objects in system schemas
    union all select 'pg_class'::regclass, c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind not in ('r', 'p', 'v', 'm', 'f', 'S', 'c', 'i', 'I', 't')
           or (c.relkind not in ('i', 'I', 't') and n.nspname in ('pg_catalog', 'information_schema'))
    union all select 'pg_constraint'::regclass, k.oid from pg_constraint k
        where k.contype not in ('p', 'u', 'f', 'c', 'x', 'n', 't')
    union all select 'pg_proc'::regclass, p.oid from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where p.prokind not in ('f', 'p', 'a', 'w') or n.nspname in ('pg_catalog', 'information_schema')
    union all select 'pg_type'::regclass, t.oid from pg_type t join pg_namespace n on n.oid = t.typnamespace
        where t.typtype not in ('b', 'c', 'd', 'e', 'm', 'p', 'r') or n.nspname in ('pg_catalog', 'information_schema')
) g (class, oid), lateral pg_identify_object(g.class, g.oid, 0) i
where g.oid >= 16384 and coalesce(i.schema, '') !~ '^pg_temp|^pg_toast|^preview_kept_'
