CREATE TABLE customer (id int PRIMARY KEY, joined date DEFAULT '2020-01-01', tags text[] NOT NULL DEFAULT '{}');
