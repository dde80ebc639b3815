"""Who leads: tasks, phases, admission, assignments, leases."""
