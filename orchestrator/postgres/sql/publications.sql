-- Publications: what one publishes is a part of it, so that subscribers never see it vanish.
with published as (
    select p.oid, format('ALTER PUBLICATION %I ', p.pubname) as alter, to_jsonb(p) as said from pg_publication p
),
parts as (
    select p.oid, 'table ' || s.name as name,
           p.alter || 'ADD TABLE ' || s.name || coalesce(' (' ||
               (select string_agg(quote_ident(a.attname), ', ' order by a.attnum) from pg_attribute a
                where a.attrelid = c.oid and a.attnum = any (r.prattrs::int2[])) || ')', '') ||
               coalesce(' WHERE (' || pg_get_expr(r.prqual, r.prrelid) || ')', '') as add,
           '' as change, p.alter || 'DROP TABLE ' || s.name as drop
    from published p join pg_publication_rel r on r.prpubid = p.oid join pg_class c on c.oid = r.prrelid
    join pg_namespace n on n.oid = c.relnamespace, lateral (select format('%I.%I', n.nspname, c.relname) as name) s
    union all
    select p.oid, 'tables in schema ' || s.name, p.alter || 'ADD TABLES IN SCHEMA ' || s.name, '',
           p.alter || 'DROP TABLES IN SCHEMA ' || s.name
    from published p join pg_publication_namespace q on q.pnpubid = p.oid join pg_namespace n on n.oid = q.pnnspid,
         lateral (select quote_ident(n.nspname) as name) s
    union all
    select p.oid, 'publish', s.said, s.said, p.alter || 'SET (publish = ''insert, update, delete, truncate'')'
    from published p, lateral (select concat_ws(', ', case when (p.said->>'pubinsert')::bool then 'insert' end,
             case when (p.said->>'pubupdate')::bool then 'update' end, case when (p.said->>'pubdelete')::bool then 'delete' end,
             case when (p.said->>'pubtruncate')::bool then 'truncate' end) as actions) w,
         lateral (select format('%sSET (publish = %L)', p.alter, w.actions) as said) s
    where w.actions <> 'insert, update, delete, truncate'
    union all
    select p.oid, 'publish_via_partition_root', p.alter || 'SET (publish_via_partition_root = true)',
           p.alter || 'SET (publish_via_partition_root = true)', p.alter || 'SET (publish_via_partition_root = false)'
    from published p where (p.said->>'pubviaroot')::bool
    union all
    select p.oid, 'publish_generated_columns', p.alter || 'SET (publish_generated_columns = stored)',
           p.alter || 'SET (publish_generated_columns = stored)', p.alter || 'SET (publish_generated_columns = none)'
    from published p where p.said->>'pubgencols' = 's'
)
select 'pg_publication'::regclass::oid::int8 as class, p.oid::int8 as oid, 'publication' as kind, 'PUBLICATION' as noun,
       array[p.pubname] as path, quote_ident(p.pubname) as subject,
       format('CREATE PUBLICATION %I%s', p.pubname, case when p.puballtables then ' FOR ALL TABLES' else '' end) as "create",
       '' as whole,
       (select coalesce(jsonb_agg(jsonb_build_array(x.name, x.add, x.change, x.drop) order by x.name), '[]')
        from parts x where x.oid = p.oid) as parts,
       (select coalesce(jsonb_agg(jsonb_build_array(a.class, a.oid)), '[]') from (
           select 'pg_publication_rel'::regclass::oid::int8 as class, r.oid::int8 as oid
           from pg_publication_rel r where r.prpubid = p.oid
           union all
           select 'pg_publication_namespace'::regclass::oid::int8, q.oid::int8
           from pg_publication_namespace q where q.pnpubid = p.oid) a) as also,
       0::int8 as of_relation
from pg_publication p
