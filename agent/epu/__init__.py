"""EPU folders: watch, settle, parse, resolve, report."""
