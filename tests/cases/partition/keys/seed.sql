insert into place values (1, 1); insert into seen values (1, 1, 'a'), (11, 1, 'b'); insert into other values (1, 1);
