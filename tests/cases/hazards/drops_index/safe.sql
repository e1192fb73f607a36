CREATE INDEX CONCURRENTLY orders_total_note ON public.orders (total, note);
DROP INDEX CONCURRENTLY public.orders_total;
