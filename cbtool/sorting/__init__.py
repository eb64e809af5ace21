"""Records in order: keys, sorted runs, the shuffle that routes them, and the sort on it."""
