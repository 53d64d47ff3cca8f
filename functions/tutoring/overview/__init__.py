"""One read of a student's progress, for dashboards."""
