CREATE FOREIGN DATA WRAPPER x;
CREATE SERVER sv FOREIGN DATA WRAPPER x OPTIONS (host 'h', api_token 'other-secret');
CREATE USER MAPPING FOR PUBLIC SERVER sv OPTIONS (user 'b', password 'goal-secret');
