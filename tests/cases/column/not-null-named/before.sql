create table t (id int primary key, a int constraint here not null, b int constraint old not null, c int, d int constraint away not null);
create table u (a int); alter table u add constraint later not null a not valid;
