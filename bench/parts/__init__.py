"""What is measured, a part a module. Each returns a `bench.results.Part`."""
