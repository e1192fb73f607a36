INSERT INTO t SELECT i, 'n' || i FROM generate_series(1, 10) i;
