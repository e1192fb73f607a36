create type point3 as (x int, y int, z int); create type other as (a int);
create table places of point3;
create table loose (x int, y int, z int);
create table tied of other (a not null);
