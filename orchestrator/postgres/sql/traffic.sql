-- Rows written per second, as the statistics of this server count them; nothing where they are younger than a minute.
-- Without a reset on record they are not older than the server's start (a restart of a Neon compute loses them).
select s.relid::int8 as relation, s.schemaname as schema, s.relname as name,
       ((s.n_tup_ins + s.n_tup_upd + s.n_tup_del) / age.seconds)::float8 as writes
from pg_catalog.pg_stat_user_tables s
cross join (select extract(epoch from now() - coalesce(d.stats_reset, pg_postmaster_start_time()))::float8 as seconds
            from pg_catalog.pg_stat_database d where d.datname = current_database()) age
where age.seconds >= 60
