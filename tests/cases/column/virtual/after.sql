create table t (id int primary key, a int, kept int generated always as (a * 3) virtual, new int generated always as (a - 1) virtual, held int generated always as (a + 9) stored);
