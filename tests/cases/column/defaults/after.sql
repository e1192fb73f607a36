CREATE TABLE t (a int DEFAULT 2, b timestamptz, c text DEFAULT 'é');
