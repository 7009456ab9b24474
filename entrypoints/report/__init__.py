"""A session's report: one page with interactive plots, the decisions and their trails."""
