create table t (id int primary key, a int constraint here not null, b int constraint new not null, c int constraint fresh not null, d int);
create table u (a int constraint later not null);
