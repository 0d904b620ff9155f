"""A picture and where its pixels are: decode, colour, resize geometry, depth, camera model."""
