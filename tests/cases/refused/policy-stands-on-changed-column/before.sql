CREATE TABLE t (a varchar(5)); CREATE POLICY p ON t USING (a = 'x');
