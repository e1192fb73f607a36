create table place (id int primary key);
create table seen (id int not null, place_id int references place, n int constraint positive check (n > 0), primary key (id)) partition by range (id);
create index seen_n on seen (n);
create table seen_1 partition of seen for values from (0) to (10);
create table seen_2 partition of seen for values from (10) to (20);
