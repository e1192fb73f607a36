-- Everything in pg_class that has a name of its own, indexes and toast tables excepted.
-- "parents" are those of inheritance or partitioning; the partition's check names an oid where it is by hash.
select c.oid::int8 as oid, n.nspname as schema, c.relname as name, c.relkind as kind,
       c.relpersistence = 'u' as unlogged, c.reltype::int8 as row_type,
       coalesce(c.reloptions, '{}') as options, coalesce(toast.reloptions, '{}') as toast_options,
       c.relreplident as replica_identity, c.relrowsecurity as row_security, c.relforcerowsecurity as forced,
       coalesce(am.amname, '') as access_method,
       coalesce((select spcname from pg_tablespace where oid = c.reltablespace), '') as tablespace,
       c.relispartition as partition,
       coalesce(pg_get_expr(c.relpartbound, c.oid), '') as bound,
       case when c.relkind = 'p' then pg_get_partkeydef(c.oid) else '' end as partition_key,
       case when c.relispartition and c.relkind in ('r', 'p') then pg_get_partition_constraintdef(c.oid) end
           as partition_check,
       coalesce(up.parents, '{}') as parents, coalesce(up.detaching, false) as detaching,
       case when c.reloftype <> 0 then format_type(c.reloftype, null) else '' end as of_type,
       case when c.relkind in ('r', 'm') then pg_relation_size(c.oid) else 0 end as bytes,
       c.reltuples::int8 as rows, c.relispopulated as populated
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
left join pg_class toast on toast.oid = c.reltoastrelid
left join (
    select inhrelid, array_agg(array[pn.nspname::text, p.relname::text] order by inhseqno) as parents,
           bool_or(inhdetachpending) as detaching
    from pg_inherits join pg_class p on p.oid = inhparent join pg_namespace pn on pn.oid = p.relnamespace
    where p.relkind not in ('I', 'i') group by inhrelid
) up on up.inhrelid = c.oid
left join pg_am am on am.oid = c.relam and am.amname <> 'heap'
where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S', 'c')
  and n.nspname !~ '^(pg_|preview_kept_)' and n.nspname not in ('information_schema', 'preview_internal')
