CREATE TYPE feeling AS ENUM ('ok', 'sad');
CREATE DOMAIN brief AS text CONSTRAINT little CHECK (length(VALUE) < 9);
CREATE TYPE "Both" AS (a int, m feeling);
CREATE FUNCTION worse(m feeling) RETURNS feeling LANGUAGE sql AS 'SELECT m';
CREATE TABLE t (id int PRIMARY KEY, m feeling DEFAULT 'ok', ms feeling[], s brief, p "Both", CONSTRAINT fine CHECK (m <> 'sad'));
CREATE INDEX fine_ones ON t (id) WHERE m = 'ok';
CREATE VIEW v AS SELECT m, s FROM t WHERE m = 'ok'::feeling;
COMMENT ON TYPE feeling IS 'how it feels';
