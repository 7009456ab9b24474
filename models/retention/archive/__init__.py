"""A session as one file: how it is written, read, checked and brought back."""
