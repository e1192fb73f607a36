create table place (id int primary key);
create table seen (id int not null, place_id int references place, x text, primary key (id)) partition by range (id);
create index seen_x on seen (x);
create table seen_2 partition of seen for values from (10) to (20);
create table seen_3 (x text, place_id int, id int not null, constraint seen_3_key primary key (id));
create index seen_3_text on seen_3 (x);
alter table seen attach partition seen_3 for values from (20) to (30);
