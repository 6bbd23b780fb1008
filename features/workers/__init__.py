"""Work on many clips: in processes of this machine, or as Ray tasks; and Ray itself."""
