"""Pure science and policy, one package per instrument domain; no I/O."""
