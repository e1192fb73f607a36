-- Every index; "owner" is the constraint behind it, 0 for one that stands alone.
-- "head" is what pg_get_indexdef() puts before the access method.
select i.indexrelid::int8 as oid, i.indrelid::int8 as relation, n.nspname as schema, c.relname as name,
       i.indisunique as unique, i.indisvalid and i.indisready as valid, i.indisclustered as clustered,
       i.indisreplident as replica_identity, pg_get_indexdef(i.indexrelid) as definition,
       format('CREATE %sINDEX %I ON %s%I.%I USING ', case when i.indisunique then 'UNIQUE ' else '' end,
              c.relname, case when t.relkind = 'p' then 'ONLY ' else '' end, n.nspname, t.relname) as head,
       coalesce(k.oid::int8, 0) as owner, up.relname as part_of,
       coalesce(c.reloptions, '{}') as options,
       coalesce((select array_agg(array[a.attnum::text, a.attstattarget::text] order by a.attnum)
                 from pg_attribute a where a.attrelid = c.oid and a.attstattarget >= 0), '{}') as statistics,
       coalesce((select spcname from pg_tablespace where oid = c.reltablespace), '') as tablespace
from pg_index i
join pg_class c on c.oid = i.indexrelid
join pg_class t on t.oid = i.indrelid
join pg_namespace n on n.oid = c.relnamespace
-- joined, not asked for each index: no index of pg_constraint leads from an index to its constraint
left join pg_constraint k on k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x')
left join pg_inherits h on h.inhrelid = i.indexrelid
left join pg_class up on up.oid = h.inhparent
where n.nspname !~ '^(pg_|preview_kept_)' and n.nspname not in ('information_schema', 'preview_internal')
