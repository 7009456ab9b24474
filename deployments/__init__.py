"""Deployment definitions and what reads them."""
