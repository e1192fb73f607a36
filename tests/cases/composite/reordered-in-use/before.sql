CREATE TYPE c AS (a int, "B b" text);
CREATE TABLE t (k int, x c DEFAULT '(1,q)');
CREATE INDEX i ON t (((x).a));
CREATE VIEW v AS SELECT (x)."B b" AS q FROM t;
