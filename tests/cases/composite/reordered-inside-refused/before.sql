CREATE TYPE i AS (a int, b int);
CREATE TYPE c AS (x i);
CREATE TABLE t (z c);
