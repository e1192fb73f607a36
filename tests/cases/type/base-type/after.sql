CREATE TYPE int42;
CREATE FUNCTION int42_in(cstring) RETURNS int42 LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
CREATE FUNCTION int42_out(int42) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
CREATE FUNCTION int42_typmodin(cstring[]) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'numerictypmodin';
CREATE TYPE int42 (
    INPUT = int42_in, OUTPUT = int42_out, TYPMOD_IN = int42_typmodin, INTERNALLENGTH = 4, PASSEDBYVALUE, ALIGNMENT = int4,
    DEFAULT = '4''2', CATEGORY = 'x', DELIMITER = ';'
);
COMMENT ON TYPE int42 IS 'an integer';
CREATE FUNCTION twice(int42) RETURNS int42 LANGUAGE sql AS $$ SELECT $1 $$;
CREATE CAST (int42 AS int) WITHOUT FUNCTION;
CREATE TABLE t (a int42, b int42[]);
CREATE DOMAIN d AS int42;
CREATE TYPE "Other shell";
CREATE TYPE announced;
COMMENT ON TYPE announced IS 'not more than a name';
