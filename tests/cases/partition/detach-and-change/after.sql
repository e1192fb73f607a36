create table seen (id int not null, n bigint, m text, primary key (id)) partition by range (id);
create table seen_2 (id int not null primary key, n text);
