CREATE TABLE t (a serial, b int NOT NULL, c bigserial);
