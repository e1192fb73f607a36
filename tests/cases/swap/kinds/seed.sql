INSERT INTO t VALUES ('b', '{a,b}');
