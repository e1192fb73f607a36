insert into t_1 values (1, 'x', 'y');
