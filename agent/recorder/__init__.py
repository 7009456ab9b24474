"""Recordings of what is written into a folder, and their replay elsewhere."""
