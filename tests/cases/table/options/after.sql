CREATE TABLE t (id int, x text) WITH (fillfactor=60, toast.autovacuum_enabled=false);
