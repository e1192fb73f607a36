INSERT INTO "My.Schema"."sel""ect" VALUES (1, 'abc', 3, 'u');
