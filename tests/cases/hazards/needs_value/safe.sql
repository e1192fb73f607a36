ALTER TABLE public.orders ADD COLUMN country text NOT NULL DEFAULT 'CH';
ALTER TABLE public.orders ALTER COLUMN country DROP DEFAULT;
