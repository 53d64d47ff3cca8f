"""Questions of students: answered out of their own material, with a confidence that rests on evidence."""
