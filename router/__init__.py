"""Requests in, slates out: who there is, whom to ask, the ladder, merging. Decisions are pure; the shell is thin.

Rooms, each of which imports only from those below it:

    main, service, assembly, status, numbers, config, access
    admission | trials
    answering
    served
    slates
    asking
    cluster
"""
