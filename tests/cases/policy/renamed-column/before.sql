CREATE TABLE t (id int PRIMARY KEY, full_name text);
CREATE POLICY p ON t USING (full_name = 'x');
CREATE STATISTICS s ON id, full_name FROM t;
CREATE RULE r AS ON DELETE TO t DO ALSO NOTIFY gone;
