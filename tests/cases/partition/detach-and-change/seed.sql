insert into seen values (11, 4);
