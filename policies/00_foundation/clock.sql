-- Policies of signed-in people ask for the day; the other functions of the file are for definer functions alone.

grant execute on function private.today() to authenticated;
