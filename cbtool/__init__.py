"""cbtool: cut big scientific files into chunks, and stage them."""
