CREATE TYPE c AS (a int, b text, n date, m int);
COMMENT ON COLUMN c.n IS 'new';
CREATE TABLE t (id int PRIMARY KEY, c c);
CREATE VIEW v AS SELECT id, (c).b AS x FROM t;
CREATE VIEW w AS SELECT id, (c).a AS x FROM t;
