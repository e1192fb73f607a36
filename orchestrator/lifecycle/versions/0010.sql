-- How many more refusals there were than have an entry of their own, on their way into the audit: what a server that dies
-- leaves here, any other writes down.
create table preview_control.refused_more (
    who text not null,
    role text not null,
    token text not null,
    source text not null,
    count bigint not null,
    since timestamptz not null default clock_timestamp(),
    primary key (who, role, token, source)
);
