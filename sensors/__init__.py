"""What starts and watches runs by itself: one module per trigger."""
