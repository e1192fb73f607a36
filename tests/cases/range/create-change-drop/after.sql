CREATE TYPE r AS RANGE (SUBTYPE = float8, SUBTYPE_DIFF = float8mi);
COMMENT ON TYPE r IS 'with a difference';
CREATE FUNCTION f(r) RETURNS float8 LANGUAGE sql AS $$ SELECT lower($1) $$;
CREATE VIEW v AS SELECT f(r(1, 2)) AS l;
CREATE TYPE texts AS RANGE (SUBTYPE = text, COLLATION = "C", MULTIRANGE_TYPE_NAME = "many texts");
CREATE TABLE u (a texts, b "many texts");
