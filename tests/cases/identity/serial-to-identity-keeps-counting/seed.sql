INSERT INTO t (x) SELECT generate_series(1,5);
