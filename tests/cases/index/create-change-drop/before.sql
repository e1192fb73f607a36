CREATE TABLE t (a int, b text, c jsonb); CREATE INDEX i ON t (a); CREATE INDEX j ON t (b); CREATE INDEX k ON t (a, b); COMMENT ON INDEX i IS 'one';
