CREATE TABLE t (a int CONSTRAINT old_u UNIQUE, b serial, CONSTRAINT old_c CHECK (a > 0)); CREATE INDEX old_i ON t ((a + 1));
