CREATE TABLE base (id int); CREATE TABLE t (id int);
