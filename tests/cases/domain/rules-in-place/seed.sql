INSERT INTO t VALUES (1, 5, 'x', 'y'), (2, NULL, 'z', 'q');
