"""Accept or return a rented box: is it worth its money for a model, before anything is put on it?

Scripts that need only sshd and a POSIX shell read the box (box/*.sh). Everything else happens here: what they
said is parsed (pure functions over text), rules with named thresholds judge it, and one verdict comes of it.
"""
