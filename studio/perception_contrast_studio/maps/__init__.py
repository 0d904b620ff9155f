"""Maps as the pages see them: of a running map_node, or saved ones, behind one protocol."""
