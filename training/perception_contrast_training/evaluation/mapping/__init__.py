"""The 3D map in simulated rooms: loops through a room, what truly stands there, and figures."""
