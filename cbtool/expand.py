def expand(a):
    return list(a)
