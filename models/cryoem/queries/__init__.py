"""Reads for the API and the command line: set-based, a fixed number of statements each."""
