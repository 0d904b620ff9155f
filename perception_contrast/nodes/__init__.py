"""One thin node a file, each with ``main()``."""
