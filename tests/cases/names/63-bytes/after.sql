CREATE TABLE aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff123 (id int GENERATED ALWAYS AS IDENTITY, x text NOT NULL, y int UNIQUE, z serial);
