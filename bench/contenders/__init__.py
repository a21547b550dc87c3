"""The programs that are measured. Each is a process that prints one JSON line: how much, from when to when."""
