CREATE FUNCTION good(text) RETURNS bool LANGUAGE sql IMMUTABLE AS $$ SELECT $1 LIKE '%@%' $$;
CREATE DOMAIN email AS text COLLATE "C" DEFAULT 'a@b' NOT NULL CONSTRAINT at CHECK (good(VALUE));
COMMENT ON DOMAIN email IS 'an address';
COMMENT ON CONSTRAINT at ON DOMAIN email IS 'has an @';
CREATE DOMAIN mails AS email[] CHECK (cardinality(VALUE) < 5);
CREATE TABLE users (id int PRIMARY KEY, email email, more mails);
