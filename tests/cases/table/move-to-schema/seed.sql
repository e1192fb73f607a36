INSERT INTO public.customers (name) VALUES ('Ada');
INSERT INTO legacy.orders (customer_id, total) SELECT 1, n FROM generate_series(1, 200) n;
INSERT INTO public.lines SELECT id, 'x' FROM legacy.orders;
