"""A whole night with faults: twelve workspaces, five models, all kinds of tokens that are priced, runs that are killed again and again."""
