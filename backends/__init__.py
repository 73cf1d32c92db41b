"""Model providers behind the ``Backend`` port. Nothing heavy is imported until it is used."""
