CREATE TABLE t (a jsonb, b text); CREATE INDEX i ON t USING gin (a); CREATE INDEX j ON t (lower(b));
