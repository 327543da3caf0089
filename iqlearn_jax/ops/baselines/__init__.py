"""The mathematics of the methods that IQ-Learn is compared with."""
