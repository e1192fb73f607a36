CREATE TYPE gone AS RANGE (SUBTYPE = int);
CREATE TABLE old (a gone, b gone_multirange);
CREATE TYPE r AS RANGE (SUBTYPE = float8);
CREATE FUNCTION f(r) RETURNS float8 LANGUAGE sql AS $$ SELECT lower($1) $$;
CREATE VIEW v AS SELECT f(r(1, 2)) AS l;
