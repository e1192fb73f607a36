create table t (id int primary key, a int, kept int generated always as (a * 2) virtual, gone int generated always as (a + 1) virtual);
