"""The inputs of the golden vectors, one module a part of the specification."""
