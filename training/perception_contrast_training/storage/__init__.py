"""Folders on a disk or in a bucket, behind one interface, and tables of Lance."""
