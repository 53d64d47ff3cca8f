-- Everything created later starts shut. Platforms of different age have granted new objects to the API roles by default,
-- and Postgres itself lets PUBLIC execute every new function; both are closed here, before the first table. So the files
-- of policies/ only grant, and what they do not name stays the owner's.
--
-- Default privileges belong to the role that creates an object. The role postgres is enough: it runs every migration, in
-- production too, and a guard of the tests finds any object of ours with another owner. What the platform's own roles
-- create lies in their schemas.

-- Must be the global form: defaults per schema can only add to it, never take away.
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
