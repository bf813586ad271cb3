"""The commands, thin: each turns what a person typed into a question, and a record into words."""
