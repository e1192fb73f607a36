CREATE FUNCTION b2t(bool) RETURNS point LANGUAGE sql AS 'SELECT null::point'; CREATE CAST (bool AS point) WITH FUNCTION b2t(bool);
