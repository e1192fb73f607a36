CREATE TABLE public.states (name text PRIMARY KEY);
INSERT INTO public.states VALUES ('open'), ('sent'), ('lost');
DELETE FROM public.states WHERE name = 'lost';
