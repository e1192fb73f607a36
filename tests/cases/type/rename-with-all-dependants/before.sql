CREATE TYPE mood AS ENUM ('ok', 'sad');
CREATE DOMAIN "Short" AS text CONSTRAINT little CHECK (length(VALUE) < 9);
CREATE TYPE pair AS (a int, m mood);
CREATE FUNCTION worse(m mood) RETURNS mood LANGUAGE sql AS 'SELECT m';
CREATE TABLE t (id int PRIMARY KEY, m mood DEFAULT 'ok', ms mood[], s "Short", p pair, CONSTRAINT fine CHECK (m <> 'sad'));
CREATE INDEX fine_ones ON t (id) WHERE m = 'ok';
CREATE VIEW v AS SELECT m, s FROM t WHERE m = 'ok'::mood;
COMMENT ON TYPE mood IS 'how it feels';
