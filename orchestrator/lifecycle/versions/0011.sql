-- What is only appended to is not emptied either; and the previews' own story is no other.
create trigger never_emptied before truncate on preview_control.promotion
    for each statement execute function preview_control.only_added_to();
create trigger never_emptied before truncate on preview_control.promotion_carried
    for each statement execute function preview_control.only_added_to();
create trigger never_emptied before truncate on preview_control.promotion_event
    for each statement execute function preview_control.only_added_to();
create trigger only_added_to before update or delete or truncate on preview_control.event
    for each statement execute function preview_control.only_added_to();
