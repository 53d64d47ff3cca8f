-- How many slots a person has, where it is not the usual number of private.job_cap().

create table private.job_caps (
    user_id uuid primary key,
    slots int not null,

    constraint job_caps_user_id_fkey foreign key (user_id) references public.profiles(user_id) on delete cascade,
    constraint job_caps_slots_check check (slots between 1 and 1000)
);

comment on table private.job_caps is 'How many slots a person has, where it is not the usual number.';
comment on column private.job_caps.user_id is 'The person.';
comment on column private.job_caps.slots is 'How many of their jobs may be ready or running at once.';
