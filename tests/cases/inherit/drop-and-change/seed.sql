insert into pet values (1, 'a', 4, 1, 'me'); insert into wild values (2, 'b', 4, 1);
