create table seen (id int not null, n int, xx text, primary key (id)) partition by range (id);
create table seen_1 partition of seen for values from (0) to (10);
create table seen_2 partition of seen for values from (10) to (20);
create index seen_x_idx on seen (xx);
alter index seen_1_xx_idx rename to seen_1_x_idx; alter index seen_2_xx_idx rename to seen_2_x_idx;
create view see as select xx from seen_1;
