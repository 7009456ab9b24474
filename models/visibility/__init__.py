"""Whose sessions a caller sees: decided here alone, for every query.

`owners` says which organisation a session belongs to, `rules` which rows belong to a session,
`enforcement` adds that to what is asked, and refuses what cannot be added to; `claims` keeps
what comes in from naming what is another's.
"""
