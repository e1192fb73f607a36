CREATE TYPE c AS ("B b" text, a bigint, n date);
CREATE TABLE t (k int, x c DEFAULT '(q,1,)');
CREATE INDEX i ON t (((x).a));
CREATE VIEW v AS SELECT (x)."B b" AS q FROM t;
