CREATE TABLE t (a int, b serial);
