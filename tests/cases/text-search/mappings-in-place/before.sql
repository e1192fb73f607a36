CREATE TEXT SEARCH DICTIONARY d (TEMPLATE = simple, STOPWORDS = english, ACCEPT = false);
CREATE TEXT SEARCH DICTIONARY gone (TEMPLATE = simple);
CREATE TEXT SEARCH CONFIGURATION c (COPY = simple);
ALTER TEXT SEARCH CONFIGURATION c ALTER MAPPING FOR asciiword WITH d, gone, simple;
CREATE TABLE t (a text, v tsvector GENERATED ALWAYS AS (to_tsvector('public.c', a)) STORED);
CREATE INDEX i ON t USING gin (to_tsvector('public.c', a));
