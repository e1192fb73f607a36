CREATE AGGREGATE g(int) (SFUNC = int4pl, STYPE = int);
