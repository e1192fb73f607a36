CREATE TABLE p (k int); CREATE TABLE c (a int);
