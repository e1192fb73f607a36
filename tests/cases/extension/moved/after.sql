CREATE SCHEMA x;
CREATE EXTENSION vector SCHEMA x;
CREATE TABLE t (id int, v x.vector(3) DEFAULT '[1,2,3]', CONSTRAINT c CHECK (x.vector_dims(v) = 3));
CREATE INDEX near ON t USING hnsw (v x.vector_l2_ops);
CREATE FUNCTION f(x.vector) RETURNS x.vector LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE MATERIALIZED VIEW m AS SELECT id, v OPERATOR(x.<->) '[1,1,1]' AS d FROM t;
