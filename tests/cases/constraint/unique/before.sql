CREATE TABLE t (a int, b int, c int, CONSTRAINT x UNIQUE (a), CONSTRAINT y UNIQUE (b));
