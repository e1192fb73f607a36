create function fits(b int) returns boolean language sql immutable as 'select b > 0';
create function first(n int default 1) returns int language sql immutable as 'select n';
create domain small as int default first() constraint ok check (fits(value)) constraint low check (value < 100);
create table t (id int primary key, n small);
create function plain(s small) returns int language sql as 'select 1';
