CREATE INDEX CONCURRENTLY orders_total ON public.orders (total);
