create table place (id int primary key);
