CREATE TABLE t (a text DEFAULT '5', b text);
