CREATE TABLE t (a bigint, b int, c text);
CREATE STATISTICS s (ndistinct, mcv) ON a, b FROM t;
ALTER STATISTICS s SET STATISTICS 50;
COMMENT ON STATISTICS s IS 'wider';
CREATE STATISTICS stays ON a, b FROM t;
CREATE STATISTICS "New" ON (a + b), lower(c) FROM t;
