CREATE TYPE c AS (a int, b text);
COMMENT ON COLUMN c.a IS 'kept';
CREATE TYPE d AS (c c, n int);
CREATE TABLE t (id int PRIMARY KEY, c c, d d DEFAULT '("(1,x)",2)');
CREATE VIEW v AS SELECT id, (c).a AS x FROM t;
