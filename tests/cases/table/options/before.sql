CREATE TABLE t (id int, x text) WITH (fillfactor=50, autovacuum_enabled=false);
