"""What people ask about runs: by name, by field, by condition; pure, over runs as values."""
