"""What ``doctor`` looks at. A check returns ``Finding``s and never raises for what it finds."""
