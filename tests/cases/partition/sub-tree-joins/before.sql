create table p (id int, k int) partition by list (k);
create index on p (id);
