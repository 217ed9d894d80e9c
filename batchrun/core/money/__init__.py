"""Usage to money: prices, budgets, and the provider's bill."""
