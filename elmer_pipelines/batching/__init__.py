"""Message batches: which requests are kept for one, how they are sent once, and how their results come back."""
