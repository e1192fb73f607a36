ALTER TABLE public.orders ALTER COLUMN total TYPE bigint;
