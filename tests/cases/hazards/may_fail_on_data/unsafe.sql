CREATE UNIQUE INDEX CONCURRENTLY orders_note ON public.orders (note);
