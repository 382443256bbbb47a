"""From observations to individuals and populations, and how sure one may be."""
