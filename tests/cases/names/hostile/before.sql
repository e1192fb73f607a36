CREATE SCHEMA "My.Schema"; CREATE TABLE "My.Schema"."sel""ect" (id int PRIMARY KEY, "a.b" text, "Größe" int, "user" text);
