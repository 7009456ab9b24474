"""What is kept and for how long: holds, rules by table, deletion in batches."""
