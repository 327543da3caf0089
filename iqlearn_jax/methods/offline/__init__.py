"""Methods that learn from demonstrations alone."""
