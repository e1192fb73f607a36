insert into place values (1); insert into seen values (1, 1, 3); insert into seen_2 values (11, 4, 1);
