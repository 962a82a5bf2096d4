"""Secret references and the stores behind them."""
