-- Constraints of tables; a domain's belong to the domain. Not the rows that PostgreSQL keeps for each partition of a
-- table that a foreign key refers to. "local" is false for one that is only inherited; "part_of" is the index of
-- the partitioned table above that the index behind this one is a part of.
select k.oid::int8 as oid, k.conrelid::int8 as relation, k.conname as name, k.contype as type,
       pg_get_constraintdef(k.oid) as definition, k.convalidated as validated,
       coalesce((select array_agg(a.attname order by u.n) from unnest(k.conkey) with ordinality u(number, n)
                 join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.number), '{}') as columns,
       k.confrelid::int8 as referenced,
       coalesce((select array_agg(a.attname order by u.n) from unnest(k.confkey) with ordinality u(number, n)
                 join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.number), '{}') as reference_columns,
       k.conindid::int8 as index, k.conislocal or k.coninhcount = 0 as local, whole.relname as part_of,
       coalesce(i.indisvalid, true) as valid
from pg_constraint k
left join pg_constraint up on up.oid = k.conparentid
left join pg_inherits h on h.inhrelid = k.conindid and k.contype in ('p', 'u', 'x')
left join pg_class whole on whole.oid = h.inhparent
left join pg_index i on i.indexrelid = k.conindid and k.contype in ('p', 'u', 'x')
join pg_class c on c.oid = k.conrelid
join pg_namespace n on n.oid = c.relnamespace
where k.contype in ('p', 'u', 'f', 'c', 'x') and (k.contype <> 'f' or up.conrelid is distinct from k.conrelid)
  and n.nspname !~ '^(pg_|preview_kept_)' and n.nspname not in ('information_schema', 'preview_internal')
order by k.conrelid, k.conname
