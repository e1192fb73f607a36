CREATE EXTENSION vector;
CREATE TABLE t (id int, v vector(3), w vector(3));
CREATE INDEX near ON t USING hnsw (v vector_l2_ops);
CREATE VIEW n AS SELECT id, w FROM t;
