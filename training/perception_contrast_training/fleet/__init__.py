"""Items of work spread over the processes of a machine or a Ray cluster."""
