CREATE TABLE t (id int PRIMARY KEY, a jsonb, CONSTRAINT c CHECK (a <> '{"x": 1}'::jsonb));
