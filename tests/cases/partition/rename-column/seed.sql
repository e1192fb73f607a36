insert into seen values (1, 2, 'a'), (11, 3, 'c');
