SELECT nextval('t_a_seq');
