ALTER TABLE public.orders ADD COLUMN total_new bigint;
UPDATE public.orders SET total_new = total WHERE id BETWEEN 1 AND 25;
UPDATE public.orders SET total_new = total WHERE id BETWEEN 26 AND 50;
