"""What one node may ask of another, and an operator of its own: generated services."""
