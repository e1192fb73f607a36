-- Constraints of tables; a domain's belong to the domain.
select k.oid::int8 as oid, k.conrelid::int8 as relation, k.conname as name, k.contype as type,
       pg_get_constraintdef(k.oid) as definition, k.convalidated as validated,
       coalesce((select array_agg(a.attname order by u.n) from unnest(k.conkey) with ordinality u(number, n)
                 join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.number), '{}') as columns,
       k.confrelid::int8 as referenced,
       coalesce((select array_agg(a.attname order by u.n) from unnest(k.confkey) with ordinality u(number, n)
                 join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.number), '{}') as reference_columns,
       k.conindid::int8 as index
from pg_constraint k
join pg_class c on c.oid = k.conrelid
join pg_namespace n on n.oid = c.relnamespace
where k.contype in ('p', 'u', 'f', 'c', 'x') and (k.conparentid = 0 or k.contype <> 'f')
  and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'preview_internal')
