PASSES = 1
def run(*a): raise NotImplementedError
