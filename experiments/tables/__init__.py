"""What reproduces the tables and figures of the paper: one module for each file of docs/results."""
