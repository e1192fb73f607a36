CREATE SCHEMA ext;
CREATE EXTENSION vector SCHEMA ext VERSION '0.8.5';
COMMENT ON EXTENSION vector IS NULL;
CREATE TABLE t (id int, a text, v ext.vector(3));
CREATE INDEX near ON t USING hnsw (v ext.vector_l2_ops);
CREATE FUNCTION far(ext.vector) RETURNS double precision LANGUAGE sql AS 'SELECT 1.0';
CREATE VIEW n AS SELECT id, far(v) AS far FROM t;
