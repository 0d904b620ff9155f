"""The web server: who may see and change what, pages and their frame."""
