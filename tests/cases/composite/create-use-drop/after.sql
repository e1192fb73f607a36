CREATE TYPE "In" AS (a int, "B b" text COLLATE "C");
CREATE TYPE out_ AS (x "In", y numeric(8,2)[]);
COMMENT ON TYPE out_ IS 'outer';
COMMENT ON COLUMN out_.x IS 'inner';
CREATE FUNCTION f(out_) RETURNS SETOF "In" LANGUAGE sql AS $$ SELECT ($1).x $$;
CREATE TABLE t (id int PRIMARY KEY, o out_, os out_[]);
