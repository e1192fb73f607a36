insert into pet values (1, 'a');
