"""The fuzzer: mutated inputs for everything that reads what others wrote (`make fuzz`)."""
