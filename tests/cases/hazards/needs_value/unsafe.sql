ALTER TABLE public.orders ADD COLUMN country text NOT NULL;
