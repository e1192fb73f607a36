create table tt (id int primary key, full_name text not null, x int) partition by range (id);
create table t_1 partition of tt default;
