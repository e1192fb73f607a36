create access method heap2 type table handler heap_tableam_handler; create table a (id int) using heap2; create table b (id int); create table c (id int) using heap2;
