"""Reading SBML: from the text of a file to a `Model` in core form."""
