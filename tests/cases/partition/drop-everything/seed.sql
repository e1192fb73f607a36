insert into seen values (1, 'a'), (11, 'b'); insert into other values (1);
