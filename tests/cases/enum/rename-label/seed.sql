INSERT INTO t VALUES ('draft');
