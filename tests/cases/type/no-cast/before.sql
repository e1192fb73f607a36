CREATE TABLE t (a int, b bool);
