ALTER TABLE public.orders RENAME COLUMN note TO note_unused;
