-- Values stand in the order of the life cycle, not of the alphabet.

create type public.user_role as enum ('student', 'tutor', 'parent', 'teacher', 'admin');
comment on type public.user_role is
    'What an account is for; each has one role. student: learns. tutor: sees the students assigned to them. parent: '
    'sees children with consent. teacher: prepares classes and sees no student. admin: staff, through the role '
    'app_admin.';

create type public.timezone_source as enum ('default', 'canvas', 'person');
comment on type public.timezone_source is
    'Where a profile''s time zone comes from. default: nobody said. canvas: the person''s account in Canvas. person: '
    'the person, at sign-up or later; nothing replaces that choice.';

create type public.learning_style as enum ('visual', 'textual', 'mixed');
comment on type public.learning_style is 'How learners say they learn best.';

create type public.guardianship_status as enum ('pending', 'active', 'revoked');
comment on type public.guardianship_status is
    'pending: asked for, no access. active: consent is recorded. revoked: withdrawn by either side or by staff.';

create type public.consent_basis as enum ('student_consent', 'minor_verified');
comment on type public.consent_basis is
    'student_consent: the student accepted. minor_verified: staff checked that the student is a minor until '
    'valid_until.';
