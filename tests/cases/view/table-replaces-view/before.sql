CREATE TABLE base (id int); CREATE VIEW t AS SELECT id FROM base;
