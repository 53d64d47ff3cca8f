-- The provider of calendar feeds; the next migration uses it.
-- Touches: 20_canvas. Undo: a value of an enum cannot be dropped; unused it does no harm.

set lock_timeout = '5s';

alter type public.integration_provider add value if not exists 'canvas_feed';
