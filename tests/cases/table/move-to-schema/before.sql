CREATE SCHEMA legacy;
CREATE TABLE public.customers (id bigserial PRIMARY KEY, name text NOT NULL);
CREATE TABLE legacy.orders (
    id bigint GENERATED ALWAYS AS IDENTITY (START 100) PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES public.customers,
    total numeric(8,2) CHECK (total >= 0),
    number serial
);
CREATE INDEX orders_customer ON legacy.orders (customer_id);
CREATE INDEX orders_large ON legacy.orders (total) WHERE total > 100;
CREATE TABLE public.lines (order_id bigint REFERENCES legacy.orders ON DELETE CASCADE, what text);
CREATE VIEW public.totals AS SELECT customer_id, sum(total) AS total FROM legacy.orders GROUP BY customer_id;
CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touched BEFORE UPDATE ON legacy.orders FOR EACH ROW EXECUTE FUNCTION public.touch();
COMMENT ON TABLE legacy.orders IS 'what was ordered';
ALTER TABLE legacy.orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON legacy.orders USING (customer_id > 0);
