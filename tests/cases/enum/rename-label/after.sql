CREATE TYPE e AS ENUM ('new','done'); CREATE TABLE t (x e DEFAULT 'new', CONSTRAINT k CHECK (x <> 'new' OR true)); CREATE VIEW v AS SELECT x FROM t WHERE x = 'new';
