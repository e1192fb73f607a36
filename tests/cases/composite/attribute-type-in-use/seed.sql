INSERT INTO t (id, c) VALUES (1, '(1,"x, y")'), (2, NULL);
