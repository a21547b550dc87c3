"""Who acts: one agent a file."""
