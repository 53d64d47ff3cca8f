-- What the policies of the practice bank ask about a student.

create function private.my_practice_items()
returns uuid[]
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    return array(
        select distinct bank_item_id from public.practice_assignments
        where student_id = private.caller_id() and bank_item_id is not null
    );
end
$$;

comment on function private.my_practice_items() is 'Bank items that were put to the caller.';

create function private.my_completed_items()
returns uuid[]
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    return array(
        select distinct bank_item_id from public.practice_assignments
        where student_id = private.caller_id() and bank_item_id is not null and completed
    );
end
$$;

comment on function private.my_completed_items() is
    'Ids of the bank items that the caller has completed and whose answers they may therefore read.';
