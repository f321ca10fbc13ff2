"""Registration of one pair: initialization, instance optimization, result, output."""
