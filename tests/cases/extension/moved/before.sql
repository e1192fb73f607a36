CREATE SCHEMA x;
CREATE EXTENSION vector;
CREATE TABLE t (id int, v vector(3) DEFAULT '[1,2,3]', CONSTRAINT c CHECK (vector_dims(v) = 3));
CREATE INDEX near ON t USING hnsw (v vector_l2_ops);
CREATE FUNCTION f(vector) RETURNS vector LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE MATERIALIZED VIEW m AS SELECT id, v <-> '[1,1,1]' AS d FROM t;
