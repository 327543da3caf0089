"""Our own studies: what the choices of this library are worth."""
