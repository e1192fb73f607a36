-- Kinds whose objects are fully said by one statement, written out as that statement.
-- "of_relation" is the relation that one goes with when that is dropped; "subject" is empty for "name ON relation".
-- "parts" can be changed in place: name, and the statements that add, change and take away.
with users as (
    select oid, nspname from pg_namespace
    where nspname !~ '^(pg_|preview_kept_)' and nspname not in ('information_schema', 'preview_internal')
)
select 'pg_policy'::regclass::oid::int8 as class, p.oid::int8 as oid, 'policy' as kind, 'POLICY' as noun,
       array[n.nspname, c.relname, p.polname] as path, '' as subject,
       format('CREATE POLICY %I ON %I.%I%s FOR %s TO %s', p.polname, n.nspname, c.relname,
           case when p.polpermissive then '' else ' AS RESTRICTIVE' end,
           case p.polcmd when 'r' then 'SELECT' when 'a' then 'INSERT' when 'w' then 'UPDATE' when 'd' then 'DELETE' else 'ALL' end,
           (select string_agg(case r when 0 then 'PUBLIC' else quote_ident(pg_get_userbyid(r)) end, ', '
                order by pg_get_userbyid(r)) from unnest(p.polroles) r))
       || coalesce(' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', '')
       || coalesce(' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')', '') as "create",
       '[]'::jsonb as parts, c.oid::int8 as of_relation
from pg_policy p join pg_class c on c.oid = p.polrelid join users n on n.oid = c.relnamespace
union all
select 'pg_rewrite'::regclass::oid::int8, r.oid::int8, 'rule', 'RULE', array[n.nspname, c.relname, r.rulename], '',
       rtrim(pg_get_ruledef(r.oid), ';'),
       case r.ev_enabled when 'O' then '[]' else (select jsonb_build_array(jsonb_build_array('state', s.said, s.said,
           format('ALTER TABLE %I.%I ENABLE RULE %I', n.nspname, c.relname, r.rulename)))
           from (select format('ALTER TABLE %I.%I %s RULE %I', n.nspname, c.relname, case r.ev_enabled when 'D' then 'DISABLE'
               when 'R' then 'ENABLE REPLICA' else 'ENABLE ALWAYS' end, r.rulename) as said) s)
       end, c.oid::int8
from pg_rewrite r join pg_class c on c.oid = r.ev_class join users n on n.oid = c.relnamespace
where r.rulename <> '_RETURN'
union all
select 'pg_statistic_ext'::regclass::oid::int8, s.oid::int8, 'statistics', 'STATISTICS', array[n.nspname, s.stxname],
       format('%I.%I', n.nspname, s.stxname), 
       -- columns by name: PostgreSQL keeps them by position, which may differ where nothing else does
       format('CREATE STATISTICS %I.%I%s ON %s FROM ', n.nspname, s.stxname,
           (select ' (' || string_agg(w.word, ', ' order by w.n) || ')'
            from (values ('d', 'ndistinct', 1), ('f', 'dependencies', 2), ('m', 'mcv', 3)) w (kind, word, n)
            where w.kind = any (s.stxkind) having count(*) < 3),
           concat_ws(', ', (select string_agg(quote_ident(a.attname), ', ' order by a.attname) from pg_attribute a
                            where a.attrelid = s.stxrelid and a.attnum = any (s.stxkeys::int2[])),
               (select string_agg(x, ', ') from unnest(pg_get_statisticsobjdef_expressions(s.oid)) x)))
           || (select format('%I.%I', cn.nspname, c.relname) from pg_class c join pg_namespace cn on cn.oid = c.relnamespace
               where c.oid = s.stxrelid),
       case when coalesce(s.stxstattarget, -1) < 0 then '[]' else (select jsonb_build_array(jsonb_build_array('target',
           a.said || s.stxstattarget, a.said || s.stxstattarget, a.said || '-1'))
           from (select format('ALTER STATISTICS %I.%I SET STATISTICS ', n.nspname, s.stxname) as said) a) end,
       s.stxrelid::int8
from pg_statistic_ext s join users n on n.oid = s.stxnamespace
