-- The oids of the catalogues themselves, by name.
select relname as name, oid::int8 as oid from pg_class where relnamespace = 'pg_catalog'::regnamespace and relkind = 'r'
