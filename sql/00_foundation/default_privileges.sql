-- Everything created later starts without rights for others. Older platforms granted new objects to the API roles by
-- default, and Postgres lets PUBLIC execute every new function; both are closed here, before the first table. So the
-- files of policies/ only grant, and what they do not name stays the owner's alone.
--
-- Default privileges belong to the role that creates an object. Closing those of postgres is enough: it runs every
-- migration, in production too, and a guard in the tests finds objects of ours with another owner. What the platform's
-- own roles create lies in their schemas.

-- This must be the global form: defaults of a schema can only add to it, never take away.
alter default privileges for role postgres revoke execute on functions from public;
alter default privileges for role postgres revoke all on tables from anon, authenticated, service_role;
alter default privileges for role postgres revoke all on sequences from anon, authenticated, service_role;
alter default privileges for role postgres revoke all on functions from anon, authenticated, service_role;

alter default privileges for role postgres in schema public
revoke all on tables from anon, authenticated, service_role;
alter default privileges for role postgres in schema public
revoke all on sequences from anon, authenticated, service_role;
alter default privileges for role postgres in schema public
revoke all on functions from anon, authenticated, service_role;

revoke create on schema public from public;
