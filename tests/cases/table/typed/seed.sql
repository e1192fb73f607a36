insert into places values (1, 2, 3);
