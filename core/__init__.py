"""Words that every room shares: errors, clock, settings, logging, ids."""
