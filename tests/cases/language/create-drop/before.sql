CREATE FUNCTION h() RETURNS language_handler LANGUAGE internal AS 'fmgr_sql_validator';
CREATE LANGUAGE gone HANDLER h;
CREATE FUNCTION am(internal) RETURNS index_am_handler LANGUAGE internal AS 'bthandler';
CREATE FUNCTION f(internal) RETURNS internal LANGUAGE internal IMMUTABLE AS 'boolin';
