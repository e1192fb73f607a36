create type point3 as (x int, y int, z int, w text); create type other as (a int);
create table places of point3 (x default 1);
create table loose of point3;
create table tied (a int not null);
