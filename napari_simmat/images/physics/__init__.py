"""From stored numbers to physical quantities, and what follows from these: each formula with its source."""
