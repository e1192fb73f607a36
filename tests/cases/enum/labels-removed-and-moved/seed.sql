INSERT INTO t (id, a, b) VALUES (1, 'a', '{a,c}'), (2, 'b', NULL), (3, 'c', '{}');
INSERT INTO u VALUES (1, 'c');
