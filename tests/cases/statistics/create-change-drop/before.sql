CREATE TABLE t (a int, b int, c text);
CREATE STATISTICS gone ON a, c FROM t;
CREATE STATISTICS s (ndistinct) ON a, b FROM t;
CREATE STATISTICS stays ON a, b FROM t;
