"""Who asks the minds: the one door between a run and whatever thinks for it."""
