ALTER TABLE public.orders ADD CONSTRAINT customer_known
    FOREIGN KEY (customer) REFERENCES public.customers (id) NOT VALID;
ALTER TABLE public.orders VALIDATE CONSTRAINT customer_known;
