"""The life of a store in memory: versions, writes, checks. Binds the language and the kernel; the doors are in engine.py."""
