"""Media bytes to pictures: exact, selective, and bounded on hostile files."""
