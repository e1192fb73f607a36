CREATE TABLE t (a text); CREATE POLICY p ON t USING (a = 'x');
