CREATE TABLE p (id int PRIMARY KEY, k int);CREATE TABLE c (a int);
