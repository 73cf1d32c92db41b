"""What the files of the libraries hold: found out in a process with limits, kept in ``trait``.

``kinds`` tells the type by content, ``images``, ``streams`` and ``papers`` read what a format says
of itself (in the process, ``worker``); ``surveyor`` decides what is looked into, ``process`` speaks
to the process, ``records`` is the database.
"""
