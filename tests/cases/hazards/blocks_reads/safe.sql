ALTER TABLE public.orders ADD COLUMN token uuid;
ALTER TABLE public.orders ALTER COLUMN token SET DEFAULT gen_random_uuid();
UPDATE public.orders SET token = gen_random_uuid() WHERE token IS NULL AND id BETWEEN 1 AND 25;
UPDATE public.orders SET token = gen_random_uuid() WHERE token IS NULL AND id BETWEEN 26 AND 50;
