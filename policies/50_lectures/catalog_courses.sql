-- Every signed-in person reads the catalogue. People add a course by ensure_catalog_course and may correct their own
-- while it is not official; staff write the list.

alter table public.catalog_courses enable row level security;

grant select, update on public.catalog_courses to authenticated;
grant insert, delete on public.catalog_courses to app_admin;
grant all on public.catalog_courses to service_role;

create policy select_all on public.catalog_courses for select to authenticated
using ((select private.caller_id()) is not null);
comment on policy select_all on public.catalog_courses is 'Every signed-in person sees the catalogue.';

create policy update_creator on public.catalog_courses for update to authenticated
using (created_by = (select private.caller_id()) and not is_official)
with check (created_by = (select private.caller_id()) and not is_official);
comment on policy update_creator on public.catalog_courses is
    'Whoever added a course corrects it, until the school''s list contains it.';

create policy all_admin_of_now on public.catalog_courses as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.catalog_courses is
    'What follows for staff lasts while the profile says admin.';

create policy insert_admin on public.catalog_courses for insert to app_admin
with check (true);
comment on policy insert_admin on public.catalog_courses is 'Staff add courses.';

create policy update_admin on public.catalog_courses for update to app_admin
using (true)
with check (true);
comment on policy update_admin on public.catalog_courses is 'Staff correct title and instructor.';

create policy delete_admin on public.catalog_courses for delete to app_admin
using (true);
comment on policy delete_admin on public.catalog_courses is
    'Staff delete unused courses; the foreign keys protect used ones.';
