"""Working code as one finds it, kept to be measured beside the reference. Do not copy."""
