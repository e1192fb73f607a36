CREATE SCHEMA s;
CREATE SCHEMA n;
CREATE TABLE t (id int PRIMARY KEY, b int);
CREATE TABLE u (id int PRIMARY KEY, b int);
CREATE TABLE "New" (id int PRIMARY KEY, c text);
CREATE PUBLICATION p FOR TABLE t, u WHERE (b > 1), "New" WITH (publish = 'insert, update', publish_via_partition_root);
CREATE PUBLICATION q FOR TABLES IN SCHEMA n, s;
COMMENT ON PUBLICATION q IS 'all of n';
