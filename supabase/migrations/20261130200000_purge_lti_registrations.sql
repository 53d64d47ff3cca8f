-- LTI registrations that nobody decided go after 90 days, with a platform that has no other.
-- Touches: 20_canvas. Undo: restore private.purge_canvas() of the migrations before. What a platform asked for is lost; it
-- can ask again.

set lock_timeout = '5s';

create or replace function private.purge_canvas()
returns jsonb
language sql
volatile
security definer
set search_path = ''
as $$
    select jsonb_build_object(
        'oauth_states', private.purge('private.oauth_states', 'expires_at', '1 day'),
        -- a grant that Canvas did not take back in a week is left to expire
        'grant_revocations', private.purge('private.grant_revocations', 'created_at', '7 days'),
        'lti_states', private.purge('private.lti_states', 'expires_at', '1 day'),
        'lti_tickets', private.purge('private.lti_tickets', 'expires_at', '1 day'),
        'lti_sign_in_locks', private.purge('private.lti_sign_in_locks', 'expires_at', '1 day'),
        'lti_launches', private.purge('private.lti_launches', 'expires_at', '1 day'),
        'lti_scores', private.purge('private.lti_scores', 'settled_at', '30 days'),
        -- what a platform asked for and nobody decided in 90 days; it can ask again
        'lti_registrations', private.purge(
            'private.lti_registrations', 'created_at', '90 days', 'status = ''pending'''
        ),
        'lti_platforms', private.purge(
            'private.lti_platforms', 'created_at', '90 days',
            'status = ''pending'''
            ' and not exists (select from private.lti_registrations as r where r.platform_id = t.id)'
        ),
        -- an id reserved for an account that was never made
        'lti_identities', private.purge(
            'private.lti_identities', 'created_at', '1 day',
            'not exists (select from auth.users as u where u.id = t.user_id)'
        )
    );
$$;
