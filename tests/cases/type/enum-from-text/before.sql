CREATE TYPE e AS ENUM ('a','b'); CREATE TABLE t (x text NOT NULL DEFAULT 'a', y text[]);
