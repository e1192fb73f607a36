CREATE TABLE t (id int, w text);
CREATE VIEW n AS SELECT id FROM t;
