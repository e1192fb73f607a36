CREATE TABLE t (a uuid, b smallint);
