CREATE DOMAIN gone AS text;
CREATE TABLE old (a gone);
