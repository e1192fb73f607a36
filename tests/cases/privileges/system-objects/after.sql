GRANT SELECT (rolname, rolsuper) ON pg_authid TO pg_monitor;
GRANT SELECT ON pg_authid TO pg_monitor WITH GRANT OPTION;
REVOKE EXECUTE ON FUNCTION pg_sleep(double precision) FROM PUBLIC;
CREATE TABLE t (a int, b int);
