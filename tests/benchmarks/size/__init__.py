"""How large a run may be: what rows cost in memory, how long a start and a resume take, and whether anything grows."""
