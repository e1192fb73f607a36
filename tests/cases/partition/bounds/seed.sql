insert into seen values (1, 1), (11, 2);
