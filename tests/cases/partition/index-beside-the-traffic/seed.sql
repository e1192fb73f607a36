insert into seen values (1, 1, 'a'), (11, 1, 'b'), (12, 2, 'c');
