insert into t values (1, 'c'), (2, 'd'), (2, 'e'), (3, 'f'), (4, 'g');
