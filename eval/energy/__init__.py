"""Energy: operations counted per layer, priced by a named profile."""
