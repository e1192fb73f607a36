CREATE TABLE customer (id int PRIMARY KEY, full_name text);
