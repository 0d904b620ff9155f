"""household-lit's rescoring head: names regions that are cut out, enlarged and encoded again."""
