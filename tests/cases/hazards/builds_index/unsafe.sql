CREATE INDEX orders_total ON public.orders (total);
