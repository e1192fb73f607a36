insert into seen values (1, 2);
