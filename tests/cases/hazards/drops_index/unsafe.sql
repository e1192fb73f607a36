DROP INDEX CONCURRENTLY public.orders_total;
