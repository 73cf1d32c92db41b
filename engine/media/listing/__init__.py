"""Lists of a million files: sorted, narrowed and counted in SQL, read where somebody looks."""
