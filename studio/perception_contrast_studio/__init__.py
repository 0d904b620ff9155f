"""The studio: a web page that shows what a robot sees, asks it in words, and explains its features."""
