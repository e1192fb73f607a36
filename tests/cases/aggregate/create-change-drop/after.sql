CREATE FUNCTION add(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT $1 + $2 $$;
CREATE AGGREGATE total(int) (SFUNC = add, STYPE = int, INITCOND = '5', PARALLEL = SAFE);
COMMENT ON AGGREGATE total(int) IS 'kept';
CREATE AGGREGATE least_(int) (SFUNC = int4smaller, STYPE = int, SORTOP = <);
CREATE AGGREGATE every_(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0', COMBINEFUNC = int8pl);
CREATE AGGREGATE pct(float8 ORDER BY "any") (SFUNC = ordered_set_transition, STYPE = internal, FINALFUNC = percentile_disc_final, FINALFUNC_EXTRA);
CREATE TABLE t (a int);
CREATE VIEW v AS SELECT total(a) AS x FROM t;
