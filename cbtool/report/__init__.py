"""What a plan or a run looks like: facts, pictures, pages."""
