CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, full_name text NOT NULL, email text NOT NULL UNIQUE, tier text NOT NULL DEFAULT 'basic');
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers, total numeric(12,2) NOT NULL, state text NOT NULL, CONSTRAINT total_ok CHECK (total >= 0));
CREATE INDEX orders_by_customer ON orders (customer_id, id);
CREATE TABLE shipments (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders);
CREATE VIEW recent AS SELECT o.id, c.full_name FROM orders o JOIN customers c ON c.id = o.customer_id;
