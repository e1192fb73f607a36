create access method heap2 type table handler heap_tableam_handler; create table a (id int); create table b (id int) using heap2;
