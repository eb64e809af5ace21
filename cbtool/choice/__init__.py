"""How many chunks: what tasks take, a model of the run, prices, and the number that suits best."""
