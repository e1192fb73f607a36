insert into pet values (1, 'a', 1); insert into wild values (2, 'b', 1, 1);
