CREATE FUNCTION same(text, int8) RETURNS bool LANGUAGE sql IMMUTABLE AS $$ SELECT $1 = $2::text $$;
CREATE OPERATOR === (FUNCTION = same, LEFTARG = text, RIGHTARG = int8);
CREATE FUNCTION compared(text, int8) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT 0 $$;
ALTER OPERATOR FAMILY text_ops USING btree ADD OPERATOR 3 === (text, int8), FUNCTION 1 (text, int8) compared(text, int8);
