CREATE SCHEMA sales;
CREATE TABLE public.customers (id bigserial PRIMARY KEY, name text NOT NULL);
CREATE TABLE sales.orders (
    id bigint GENERATED ALWAYS AS IDENTITY (START 100) PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES public.customers,
    total numeric(8,2) CHECK (total >= 0),
    number serial,
    note text
);
CREATE INDEX orders_customer ON sales.orders (customer_id);
CREATE INDEX orders_large ON sales.orders (total) WHERE total > 100;
CREATE TABLE public.lines (order_id bigint REFERENCES sales.orders ON DELETE CASCADE, what text);
CREATE VIEW public.totals AS SELECT customer_id, sum(total) AS total FROM sales.orders GROUP BY customer_id;
CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touched BEFORE UPDATE ON sales.orders FOR EACH ROW EXECUTE FUNCTION public.touch();
COMMENT ON TABLE sales.orders IS 'what was ordered';
ALTER TABLE sales.orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON sales.orders USING (customer_id > 0);
