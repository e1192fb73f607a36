-- Live columns of tables, views and composite types.
select a.attrelid::int8 as relation, a.attnum as number, a.attname as name,
       format_type(a.atttypid, a.atttypmod) as type, a.attnotnull as not_null, a.attislocal as local,
       case when a.attcollation <> t.typcollation then
           (select quote_ident(cn.nspname) || '.' || quote_ident(co.collname)
            from pg_collation co join pg_namespace cn on cn.oid = co.collnamespace where co.oid = a.attcollation)
       end as collation,
       a.attidentity as identity, a.attgenerated as generated, d.oid::int8 as default_oid,
       pg_get_expr(d.adbin, d.adrelid) as expression,
       case when a.attstorage <> t.typstorage then a.attstorage end as storage,
       nullif(a.attcompression, '') as compression,
       case when a.attstattarget >= 0 then a.attstattarget end as statistics,
       coalesce(a.attoptions, '{}') as options, coalesce(a.attfdwoptions, '{}') as foreign_options, a.attacl is not null as granted
from pg_attribute a
join pg_class c on c.oid = a.attrelid
join pg_namespace n on n.oid = c.relnamespace
join pg_type t on t.oid = a.atttypid
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'v', 'm', 'f', 'c')
  and n.nspname !~ '^(pg_|preview_kept_)' and n.nspname not in ('information_schema', 'preview_internal')
order by a.attrelid, a.attnum
