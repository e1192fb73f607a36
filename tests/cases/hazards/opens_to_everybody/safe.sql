GRANT SELECT ON public.orders TO pg_monitor;
