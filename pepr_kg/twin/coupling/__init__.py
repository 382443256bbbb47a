"""Models with clocks of their own that exchange values."""
