"""What all services and the worker share: settings, errors, identity, database handles, jobs and logs."""
