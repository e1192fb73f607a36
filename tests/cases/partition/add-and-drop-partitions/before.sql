create table place (id int primary key);
create table seen (id int not null, place_id int references place, x text, primary key (id)) partition by range (id);
create index seen_x on seen (x);
create table seen_1 partition of seen for values from (0) to (10);
create table seen_2 partition of seen for values from (10) to (20);
