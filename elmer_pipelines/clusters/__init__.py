"""Groups of signals about the same need: found, recognised over time, named and followed. No storing here."""
