CREATE TYPE i AS (a bigint);
CREATE TYPE c AS (x i, y i[]);
CREATE FUNCTION i2c(int) RETURNS c LANGUAGE sql IMMUTABLE AS 'SELECT null::c';
CREATE CAST (int AS c) WITH FUNCTION i2c(int) AS IMPLICIT;
CREATE TABLE t (z c, cast_default c DEFAULT 1::int);
