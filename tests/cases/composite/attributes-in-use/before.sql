CREATE TYPE c AS (a int, gone text, b text);
CREATE TABLE t (id int PRIMARY KEY, c c);
CREATE VIEW v AS SELECT id, (c).gone AS x FROM t;
CREATE VIEW w AS SELECT id, (c).a AS x FROM t;
