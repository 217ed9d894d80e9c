"""What touches the world: one module, one kind of side effect; no edge module knows another."""
