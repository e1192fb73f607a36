CREATE TABLE t (a int, b int GENERATED ALWAYS AS IDENTITY, CONSTRAINT k PRIMARY KEY (a));
COMMENT ON INDEX k IS 'the index of a key';
COMMENT ON SEQUENCE t_b_seq IS 'the sequence of an identity';
