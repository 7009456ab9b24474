"""Who is asking, and what they may do, over HTTP."""
