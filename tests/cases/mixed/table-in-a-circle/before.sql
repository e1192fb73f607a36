CREATE TABLE old (a int);
CREATE FUNCTION old_fine(old) RETURNS bool LANGUAGE sql IMMUTABLE AS $$ SELECT $1.a > 0 $$;
CREATE INDEX old_i ON old (old_fine(old));
ALTER TABLE old ADD CHECK (old_fine(old)), ADD COLUMN b bool DEFAULT old_fine(NULL);
