-- Promotions and reverts: what was begun, what was carried along for the way back, and what happened, in order.
create table preview_control.promotion (
    id text primary key,
    number bigint generated always as identity,
    project text not null,
    preview_id text not null references preview_control.preview (id),
    preview_name text not null,
    kind text not null,
    reverts text references preview_control.promotion (id),
    who text not null,
    at timestamptz not null default clock_timestamp(),
    facts jsonb not null default '{}'
);
create index promotion_of_project on preview_control.promotion (project, number);

create table preview_control.promotion_carried (
    promotion_id text not null references preview_control.promotion (id),
    name text not null,
    value jsonb not null,
    primary key (promotion_id, name)
);

create table preview_control.promotion_event (
    id bigint generated always as identity primary key,
    promotion_id text not null references preview_control.promotion (id),
    at timestamptz not null default clock_timestamp(),
    who text not null,
    kind text not null,
    note text not null default '',
    milliseconds double precision,
    detail jsonb not null default '{}'
);
create index event_of_promotion on preview_control.promotion_event (promotion_id, id);

-- A post-mortem quotes these rows: nobody changes or removes one.
create function preview_control.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'the history of promotions is only appended to';
end
$$;
create trigger only_appended before update or delete on preview_control.promotion
    for each row execute function preview_control.refuse_change();
create trigger only_appended before update or delete on preview_control.promotion_carried
    for each row execute function preview_control.refuse_change();
create trigger only_appended before update or delete on preview_control.promotion_event
    for each row execute function preview_control.refuse_change();
