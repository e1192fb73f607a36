-- Which physical cluster this is: branches of one share this number.
select system_identifier::text as system from pg_control_system()
