"""Long, seeded runs against the real API server: `make chaos` and `make crash-points`."""
