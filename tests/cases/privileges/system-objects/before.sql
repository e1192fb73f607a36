GRANT EXECUTE ON FUNCTION pg_ls_logdir() TO pg_signal_backend;
GRANT SELECT (rolpassword) ON pg_authid TO PUBLIC;
REVOKE SELECT ON information_schema.tables FROM PUBLIC;
CREATE TABLE t (a int);
