-- No API role has rights on the table. Signed-in people call the functions, which check the caller's role of now.

alter table private.invitations enable row level security;

create policy nobody on private.invitations for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.invitations is 'Closed on purpose: nobody reads invitations over the API.';

grant execute on function private.create_invitation(public.invitation_kind, uuid) to authenticated;
grant execute on function public.create_invitation(public.invitation_kind, uuid) to authenticated;

grant execute on function private.redeem_invitation(text) to authenticated;
grant execute on function public.redeem_invitation(text) to authenticated;
