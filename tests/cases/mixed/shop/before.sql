CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, fax text, email text NOT NULL UNIQUE);
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers, total int NOT NULL, state text NOT NULL);
CREATE VIEW recent AS SELECT o.id, c.name FROM orders o JOIN customers c ON c.id = o.customer_id;
