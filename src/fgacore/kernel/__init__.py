"""The compiled core: integers only, no I/O, no clock, no logging.

names (texts to ids), sets (who is in), tables (sets by object and by subject, in versions), plan (a model as a decision graph),
view (what is known of one subject), check (the traversal). Read the .pxd of a module before its .pyx.
"""
