"""How long each part of the walk of a frame takes on this machine, and what other libraries take."""
