-- `private` holds what no client may name: secrets, outboxes, the audit log, and the functions that policies call.
-- It is never in the list of exposed schemas; callers reach its functions only through bound function bodies.

create schema private;

comment on schema private is
    'Not exposed: secrets, the queue''s internals, the audit log, and the helpers of policies. No API role has usage '
    'on it.';
