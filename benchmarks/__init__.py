"""What `make bench` measures; its last results are in results.txt."""
