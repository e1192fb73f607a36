UPDATE public.orders SET note = note || ' (' || id || ')' WHERE id = 2;
CREATE UNIQUE INDEX CONCURRENTLY orders_note ON public.orders (note);
