INSERT INTO t VALUES ('secret');
