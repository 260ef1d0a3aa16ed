# A package, so that shapes can import from it.
