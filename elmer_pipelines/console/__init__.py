"""How the command looks and what only the command does: progress, tables, the demo, the doctor, writing files."""
