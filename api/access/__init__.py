"""Who is asking and what they may do: tokens, keys, roles, and the one table of routes."""
