CREATE TABLE t (a bool DEFAULT true);
