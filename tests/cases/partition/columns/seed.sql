insert into seen values (1, 2, 'a', 'b', 'f'), (11, 3, 'c', 'd', 'g');
