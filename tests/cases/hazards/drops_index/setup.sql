CREATE TABLE public.customers (id int PRIMARY KEY);
INSERT INTO public.customers SELECT generate_series(1, 50);
CREATE TABLE public.orders (id int PRIMARY KEY, customer int, total int, note text);
INSERT INTO public.orders SELECT n, n, n, 'note ' || n FROM generate_series(1, 50) AS n;
CREATE INDEX orders_total ON public.orders (total);
