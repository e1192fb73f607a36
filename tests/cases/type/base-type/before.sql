CREATE TYPE old;
CREATE FUNCTION old_in(cstring) RETURNS old LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION old_out(old) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE old (INPUT = old_in, OUTPUT = old_out, STORAGE = extended, COLLATABLE = true);
COMMENT ON TYPE old IS 'goes';
CREATE TABLE u (a old, b old[]);
CREATE FUNCTION named(old) RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
CREATE CAST (old AS text) WITHOUT FUNCTION;
CREATE TYPE announced;
