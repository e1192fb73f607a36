CREATE AGGREGATE gone(int) (SFUNC = int4pl, STYPE = int);
CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
REVOKE ALL ON FUNCTION total(int) FROM PUBLIC;
COMMENT ON AGGREGATE total(int) IS 'kept';
CREATE TABLE t (a int);
CREATE VIEW v AS SELECT total(a) AS x FROM t;
