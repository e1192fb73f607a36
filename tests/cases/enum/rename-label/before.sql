CREATE TYPE e AS ENUM ('draft','done'); CREATE TABLE t (x e DEFAULT 'draft', CONSTRAINT k CHECK (x <> 'draft' OR true)); CREATE VIEW v AS SELECT x FROM t WHERE x = 'draft';
