"""Command line and process wiring: the only place that reads settings."""
