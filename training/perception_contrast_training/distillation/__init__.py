"""Teachers, their features on disk, and the form in which a student learns them."""
