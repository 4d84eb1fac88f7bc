"""The log of a store, its snapshots, and files of tuples. Knows no model: what a record or a tuple means is the runtime's."""
