CREATE TYPE e AS ENUM ('a','b','c','c2','d','z'); CREATE TABLE t (x e DEFAULT 'c2', CONSTRAINT k CHECK (x <> 'z'));
