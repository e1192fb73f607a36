CREATE FUNCTION eq(x int, y text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1::text = $2';
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = text, FUNCTION = eq);
CREATE TABLE t (a int, b text, c bool GENERATED ALWAYS AS (a === b) STORED, CHECK (a === b OR b IS NULL));
CREATE INDEX i ON t ((a === b));
