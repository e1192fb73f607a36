CREATE TYPE mood AS ENUM ('ok', 'it''s'); CREATE TABLE t (m mood DEFAULT 'it''s', n mood[]); COMMENT ON TYPE mood IS 'm';
