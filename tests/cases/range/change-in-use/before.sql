CREATE TYPE r AS RANGE (SUBTYPE = float8);
CREATE TABLE u (x r, m r_multirange, y r[], z r DEFAULT '[1,2]');
CREATE INDEX i ON u USING gist (x);
CREATE VIEW v AS SELECT lower(x) AS l FROM u;
CREATE FUNCTION f(r) RETURNS r LANGUAGE sql AS 'SELECT $1';
