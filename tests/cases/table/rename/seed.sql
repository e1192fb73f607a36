INSERT INTO users (email) VALUES ('a@x'); INSERT INTO posts (author) VALUES (1);
