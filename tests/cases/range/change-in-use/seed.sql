INSERT INTO u VALUES ('[1,2]', '{[1,3)}', '{"[4,5]"}');
