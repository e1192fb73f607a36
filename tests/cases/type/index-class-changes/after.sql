CREATE TABLE t (a text, b int); CREATE INDEX i ON t (a); CREATE INDEX j ON t (abs(b));
