CREATE TYPE i AS (b int, a int);
CREATE TYPE c AS (x i);
CREATE TABLE t (z c);
