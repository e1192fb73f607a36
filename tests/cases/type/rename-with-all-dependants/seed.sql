INSERT INTO t VALUES (1, 'ok', '{ok,sad}', 'x', (1, 'sad'));
