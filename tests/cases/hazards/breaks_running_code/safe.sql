ALTER TABLE public.orders ADD COLUMN remark text;
UPDATE public.orders SET remark = note WHERE id BETWEEN 1 AND 50;
