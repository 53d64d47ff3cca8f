"""What every service and the worker share: settings, errors, identity, database handles, jobs, logs."""
